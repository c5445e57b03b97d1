//! Moments as values of a script.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash as _;

use allocative::Allocative;
use jiff::{SignedDuration, Zoned};
use serde::{Serialize, Serializer};
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::values::{Heap, StarlarkPagablePanic, StarlarkValue, Value, ValueError, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::length::{Length, LengthArg};
use super::{format_time, layout};

/// A moment: attributes `year`, `month`, `day`, `hour`, `minute`, `second`, `nanosecond`, `weekday` (0 is Sunday), `yearday`,
/// `unix` (seconds) and `unix_nano`, all int.
#[derive(Debug, Clone, ProvidesStaticType, StarlarkPagablePanic, Allocative)]
pub(crate) struct Moment(#[allocative(skip)] pub(crate) Zoned);
starlark_simple_value!(Moment);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&layout::format(&self.0, "2006-01-02T15:04:05.999999999Z07:00"))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From one moment to another.
///
/// # Errors
/// When that is longer than 292 years.
pub(super) fn between(from: &Zoned, to: &Zoned) -> anyhow::Result<Length> {
    let nanos = to.timestamp().as_nanosecond() - from.timestamp().as_nanosecond();
    let nanos =
        i64::try_from(nanos).map_err(|_| anyhow::anyhow!("more than 292 years lie between these times"))?;
    Ok(Length(crate::duration::SignedDuration::from_nanos(nanos)))
}

impl Moment {
    /// So many nanoseconds later.
    ///
    /// # Errors
    /// When that is beyond the year 9999.
    pub(super) fn plus(&self, nanos: i128) -> starlark::Result<Self> {
        let sum = i64::try_from(nanos).ok().and_then(|nanos| {
            let sum = self.0.checked_add(SignedDuration::from_nanos(nanos));
            sum.ok().map(Self)
        });
        sum.ok_or_else(|| anyhow::anyhow!("this time would be beyond the year 9999").into())
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "time.time")]
impl<'v> StarlarkValue<'v> for Moment {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.timestamp().as_nanosecond().hash(hasher);
        Ok(())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(Self::from_value(other).is_some_and(|other| other.0.timestamp() == self.0.timestamp()))
    }

    fn compare(&self, other: Value<'v>) -> starlark::Result<Ordering> {
        match Self::from_value(other) {
            Some(other) => Ok(self.0.timestamp().cmp(&other.0.timestamp())),
            None => ValueError::unsupported_with(self, "compare", other),
        }
    }

    fn add(&self, other: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let length = Length::from_value(other)?;
        Some(
            self.plus(length.0.nanos().into())
                .map(|moment| heap.alloc(moment)),
        )
    }

    fn sub(&self, other: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        if let Some(other) = Self::from_value(other) {
            return Ok(heap.alloc(between(&other.0, &self.0)?));
        }
        match Length::from_value(other) {
            Some(length) => Ok(heap.alloc(self.plus(-i128::from(length.0.nanos()))?)),
            None => ValueError::unsupported_with(self, "-", other),
        }
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let time = &self.0;
        let number: i64 = match attribute {
            "year" => time.year().into(),
            "month" => time.month().into(),
            "day" => time.day().into(),
            "hour" => time.hour().into(),
            "minute" => time.minute().into(),
            "second" => time.second().into(),
            "nanosecond" => time.subsec_nanosecond().into(),
            "weekday" => time.weekday().to_sunday_zero_offset().into(),
            "yearday" => time.day_of_year().into(),
            "unix" => time.timestamp().as_second(),
            "unix_nano" => i64::try_from(time.timestamp().as_nanosecond()).ok()?,
            _ => return None,
        };
        Some(heap.alloc(number))
    }

    fn dir_attr(&self) -> Vec<String> {
        [
            "day",
            "hour",
            "minute",
            "month",
            "nanosecond",
            "second",
            "unix",
            "unix_nano",
            "weekday",
            "year",
            "yearday",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The time as a text.
    ///
    /// Args:
    ///   format: a name (rfc3339, kitchen, datetime, date, time, stamp, rfc822, rfc1123), directives of strftime such as
    ///     "%Y-%m-%d", or a layout of Go's such as "2006-01-02". Default: rfc3339.
    fn string(this: &Moment, #[starlark(default = "")] format: &str) -> anyhow::Result<String> {
        format_time(&this.0, format)
    }

    /// A later time, or an earlier one when the duration is below zero.
    fn add(this: &Moment, duration: LengthArg) -> starlark::Result<Moment> {
        this.plus(duration.read().map_err(anyhow::Error::from)?.nanos().into())
    }

    /// From another time to this one.
    fn sub<'v>(this: &Moment, time: &'v Moment) -> anyhow::Result<Length> {
        between(&time.0, &this.0)
    }

    /// The same moment in UTC.
    fn utc(this: &Moment) -> anyhow::Result<Moment> {
        Ok(Moment(this.0.with_time_zone(jiff::tz::TimeZone::UTC)))
    }
}
