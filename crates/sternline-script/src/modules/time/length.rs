//! Lengths of time as values of a script.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::fmt;
use std::hash::Hash as _;

use allocative::Allocative;
use serde::{Serialize, Serializer};
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::typing::Ty;
use starlark::values::float::StarlarkFloat;
use starlark::values::type_repr::StarlarkTypeRepr;
use starlark::values::{
    Heap, StarlarkPagablePanic, StarlarkValue, UnpackValue, Value, ValueError, ValueLike as _, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use super::moment::Moment;
use crate::duration::{self, DurationError, SignedDuration};

/// A length of time: attributes `hours`, `minutes` and `seconds` (float), `milliseconds` and `nanoseconds` (int).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ProvidesStaticType, StarlarkPagablePanic, Allocative)]
pub(crate) struct Length(#[allocative(skip)] pub(crate) SignedDuration);
starlark_simple_value!(Length);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A length of time that a script gives: a text, or a value of `time.duration`.
#[derive(Debug, Clone)]
pub(crate) enum LengthArg {
    Text(String),
    Length(SignedDuration),
}

impl StarlarkTypeRepr for LengthArg {
    type Canonical = Self;
    fn starlark_type_repr() -> Ty {
        Ty::union2(String::starlark_type_repr(), Length::get_type_starlark_repr())
    }
}

impl<'v> UnpackValue<'v> for LengthArg {
    type Error = Infallible;
    fn unpack_value_impl(value: Value<'v>) -> Result<Option<Self>, Infallible> {
        let text = value.unpack_str().map(|text| Self::Text(text.to_owned()));
        Ok(text.or_else(|| Some(Self::Length(Length::from_value(value)?.0))))
    }
}

impl fmt::Display for LengthArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Length(length) => length.fmt(f),
        }
    }
}

impl LengthArg {
    /// How long that is.
    ///
    /// # Errors
    /// When the text is no length of time, in Go's words.
    pub(crate) fn read(&self) -> Result<SignedDuration, DurationError> {
        match self {
            Self::Text(text) => duration::parse_signed(text),
            Self::Length(length) => Ok(*length),
        }
    }

    /// Whether nothing was given, by an empty text.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

impl Length {
    fn checked(nanos: Option<i128>) -> starlark::Result<Self> {
        nanos
            .and_then(|nanos| i64::try_from(nanos).ok())
            .map(|nanos| Self(SignedDuration::from_nanos(nanos)))
            .ok_or_else(|| anyhow::anyhow!("a duration is longer than 292 years").into())
    }

    fn nanos(self) -> i128 {
        i128::from(self.0.nanos())
    }

    fn times<'v>(self, factor: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let product = if let Ok(Some(whole)) = i64::unpack_value(factor) {
            Self::checked(self.nanos().checked_mul(i128::from(whole)))
        } else {
            let factor = factor.downcast_ref::<StarlarkFloat>()?;
            scaled(self.0.nanos() as f64 * factor.0)
        };
        Some(product.map(|product| heap.alloc(product)))
    }

    fn in_units(self, nanos: i64) -> f64 {
        self.0.nanos() as f64 / nanos as f64
    }
}

/// A length from nanoseconds that may be too many, or none at all.
fn scaled(nanos: f64) -> starlark::Result<Length> {
    let fits = nanos.is_finite() && nanos.abs() < i64::MAX as f64;
    Length::checked(fits.then_some(nanos as i128))
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "time.duration")]
impl<'v> StarlarkValue<'v> for Length {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn to_bool(&self) -> bool {
        self.0.nanos() != 0
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash(hasher);
        Ok(())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(Self::from_value(other).is_some_and(|other| other == self))
    }

    fn compare(&self, other: Value<'v>) -> starlark::Result<Ordering> {
        match Self::from_value(other) {
            Some(other) => Ok(self.0.cmp(&other.0)),
            None => ValueError::unsupported_with(self, "compare", other),
        }
    }

    fn add(&self, other: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        if let Some(other) = Self::from_value(other) {
            let sum = self.nanos() + other.nanos();
            return Some(Self::checked(Some(sum)).map(|sum| heap.alloc(sum)));
        }
        let moment = Moment::from_value(other)?;
        Some(moment.plus(self.nanos()).map(|moment| heap.alloc(moment)))
    }

    fn sub(&self, other: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        match Self::from_value(other) {
            Some(other) => Ok(heap.alloc(Self::checked(Some(self.nanos() - other.nanos()))?)),
            None => ValueError::unsupported_with(self, "-", other),
        }
    }

    fn minus(&self, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        Ok(heap.alloc(Self::checked(Some(-self.nanos()))?))
    }

    fn mul(&self, other: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        self.times(other, heap)
    }

    fn rmul(&self, other: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        self.times(other, heap)
    }

    fn div(&self, other: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let nanos = self.0.nanos() as f64;
        if let Some(other) = Self::from_value(other) {
            if other.0.nanos() == 0 {
                return Err(anyhow::anyhow!("a duration cannot be divided by one of no time").into());
            }
            return Ok(heap.alloc(nanos / other.0.nanos() as f64));
        }
        let divisor = match i64::unpack_value(other) {
            Ok(Some(whole)) => whole as f64,
            _ => match other.downcast_ref::<StarlarkFloat>() {
                Some(float) => float.0,
                None => return ValueError::unsupported_with(self, "/", other),
            },
        };
        if divisor == 0.0 {
            return Err(anyhow::anyhow!("a duration cannot be divided by zero").into());
        }
        Ok(heap.alloc(scaled(nanos / divisor)?))
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        Some(match attribute {
            "hours" => heap.alloc(self.in_units(3_600_000_000_000)),
            "minutes" => heap.alloc(self.in_units(60_000_000_000)),
            "seconds" => heap.alloc(self.in_units(1_000_000_000)),
            "milliseconds" => heap.alloc(self.0.nanos() / 1_000_000),
            "nanoseconds" => heap.alloc(self.0.nanos()),
            _ => return None,
        })
    }

    fn dir_attr(&self) -> Vec<String> {
        ["hours", "milliseconds", "minutes", "nanoseconds", "seconds"]
            .map(str::to_owned)
            .to_vec()
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// As Go writes it: "1h30m0s".
    fn string(this: &Length) -> anyhow::Result<String> {
        Ok(this.to_string())
    }
}
