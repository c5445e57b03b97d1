//! Whether an attempt was a success.

use starlark::values::list::ListRef;
use starlark::values::{Heap, Value};

use super::result::RetryResult;
use crate::outcome::Outcome;

/// An attempt that succeeded.
pub(super) struct Success<'v> {
    /// What the function returned.
    pub(super) returned: Value<'v>,
    /// That, or what is in it when it is a `Result`.
    pub(super) value: Value<'v>,
}

/// Whether what a function returned is a success: a `Result` is when it is ok, and so is whatever else has an attribute `ok`;
/// a list of such when all are; of truth values True. Everything else is.
pub(super) fn judge<'v>(returned: Value<'v>, heap: Heap<'v>) -> Result<Success<'v>, String> {
    let success = |value| Ok(Success { returned, value });
    if let Some(truth) = returned.unpack_bool() {
        return if truth {
            success(returned)
        } else {
            Err("returned False".to_owned())
        };
    }
    if let Some(list) = ListRef::from_value(returned) {
        let failures: Vec<String> = list.iter().filter_map(|item| failure(item, heap)).collect();
        return match failures.as_slice() {
            [] => success(returned),
            failures => Err(failures.join("; ")),
        };
    }
    if let Some(failure) = failure(returned, heap) {
        return Err(failure);
    }
    let is_wrapped = Outcome::from_value(returned).is_some() || RetryResult::from_value(returned).is_some();
    let inner = returned
        .get_attr("value", heap)
        .ok()
        .flatten()
        .filter(|_| is_wrapped);
    success(inner.unwrap_or(returned))
}

/// Why a result is a failure, if it is one.
fn failure<'v>(result: Value<'v>, heap: Heap<'v>) -> Option<String> {
    let attribute = |name: &str| result.get_attr(name, heap).ok().flatten();
    let text = |name: &str| {
        let text = attribute(name)?.unpack_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    if attribute("ok")?.unpack_bool()? {
        return None;
    }
    let code = || {
        attribute("code")?
            .unpack_i32()
            .map(|code| format!("exit code {code}"))
    };
    let why = text("error").or_else(|| text("stderr")).or_else(code);
    let why = why.unwrap_or_else(|| "not ok".to_owned());
    Some(match text("host") {
        Some(host) => format!("host {host}: {why}"),
        None => why,
    })
}
