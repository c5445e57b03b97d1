//! What functions about files take.

use std::convert::Infallible;

use starlark::typing::Ty;
use starlark::values::bytes::StarlarkBytes;
use starlark::values::type_repr::StarlarkTypeRepr;
use starlark::values::{StarlarkValue, UnpackValue, Value, ValueLike};

use super::path::PathValue;

/// A path: a string, or what `path` returns.
pub(crate) struct PathArg(pub(crate) String);

impl StarlarkTypeRepr for PathArg {
    type Canonical = Self;
    fn starlark_type_repr() -> Ty {
        Ty::union2(String::starlark_type_repr(), PathValue::get_type_starlark_repr())
    }
}

impl<'v> UnpackValue<'v> for PathArg {
    type Error = Infallible;
    fn unpack_value_impl(value: Value<'v>) -> Result<Option<Self>, Infallible> {
        Ok(text_of(value).map(Self))
    }
}

/// The text of a string or a path.
pub(super) fn text_of(value: Value<'_>) -> Option<String> {
    value.unpack_str().map(str::to_owned).or_else(|| {
        value
            .downcast_ref::<PathValue>()
            .map(|path| path.text().to_owned())
    })
}

/// What is written: a string, or bytes.
pub(crate) struct Content(pub(crate) Vec<u8>);

impl StarlarkTypeRepr for Content {
    type Canonical = Self;
    fn starlark_type_repr() -> Ty {
        Ty::union2(
            String::starlark_type_repr(),
            StarlarkBytes::get_type_starlark_repr(),
        )
    }
}

impl<'v> UnpackValue<'v> for Content {
    type Error = Infallible;
    fn unpack_value_impl(value: Value<'v>) -> Result<Option<Self>, Infallible> {
        Ok(value
            .unpack_str()
            .map(|text| text.as_bytes().to_vec())
            .or_else(|| {
                value
                    .downcast_ref::<StarlarkBytes>()
                    .map(|bytes| bytes.as_bytes().to_vec())
            })
            .map(Self))
    }
}

/// Permissions of a file: `0o644`, or the string `"0644"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

impl StarlarkTypeRepr for Mode {
    type Canonical = Self;
    fn starlark_type_repr() -> Ty {
        Ty::union2(i32::starlark_type_repr(), String::starlark_type_repr())
    }
}

impl<'v> UnpackValue<'v> for Mode {
    type Error = anyhow::Error;
    fn unpack_value_impl(value: Value<'v>) -> anyhow::Result<Option<Self>> {
        if let Some(text) = value.unpack_str() {
            return Self::parse(text).map(Some);
        }
        let Some(number) = value.unpack_i32() else {
            return Ok(None);
        };
        match u32::try_from(number) {
            Ok(mode) if mode <= 0o7777 => Ok(Some(Self(mode))),
            _ => anyhow::bail!("the mode {number} is none: write 0o644 or \"0644\""),
        }
    }
}

impl Mode {
    /// Reads octal digits, with or without `0o`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let is_octal = !digits.is_empty() && digits.chars().all(|c| c.is_digit(8));
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if is_octal && mode <= 0o7777 => Ok(Self(mode)),
            _ => anyhow::bail!("the mode {text:?} is none: write octal digits, such as \"0644\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_written_in_octal_digits() {
        for (text, mode) in [
            ("0644", 0o644),
            ("755", 0o755),
            ("0o600", 0o600),
            ("4755", 0o4755),
        ] {
            assert_eq!(Mode::parse(text).unwrap(), Mode(mode));
        }
        for text in ["", "888", "+644", "rw", "77777", "-1", "0o"] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
    }
}
