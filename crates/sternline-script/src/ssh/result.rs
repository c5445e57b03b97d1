//! What became of one host, as scripts see it: `SSHResult` and `SSHTransferResult`.

use std::fmt::{self, Write as _};
use std::hash::Hash as _;
use std::sync::Arc;
use std::time::Duration;

use allocative::Allocative;
use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::starlark_simple_value;
use starlark::values::{Heap, StarlarkPagablePanic, StarlarkValue, Value, ValueLike, starlark_value};
use sternline::exec::ExitStatus;
use sternline::fleet::{Outcome, Skipped};

/// The code of a command that has none, because it did not run to its end.
const NO_CODE: i64 = -1;

/// One value of a result.
#[derive(Debug, PartialEq)]
enum Field<'a> {
    Text(&'a str),
    Number(i64),
    Truth(bool),
    /// How long it took. It says nothing about what became of the host, so results that differ in it alone are equal.
    Seconds(f64),
}

/// What both kinds of results have in common.
trait Record {
    const NAME: &'static str;

    /// Its attributes, in the order of their names.
    fn fields(&self) -> Vec<(&'static str, Field<'_>)>;

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)?;
        for (index, (name, field)) in self.fields().iter().enumerate() {
            f.write_str(if index == 0 { "(" } else { ", " })?;
            write!(f, "{name} = {field}")?;
        }
        f.write_str(")")
    }

    fn attribute<'v>(&self, name: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let (_, field) = self.fields().into_iter().find(|(known, _)| *known == name)?;
        Some(match field {
            Field::Text(text) => heap.alloc(text),
            Field::Number(number) => heap.alloc(number),
            Field::Truth(truth) => Value::new_bool(truth),
            Field::Seconds(seconds) => heap.alloc(seconds),
        })
    }

    fn serialized<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields();
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, field) in fields {
            match field {
                Field::Text(text) => map.serialize_entry(name, text)?,
                Field::Number(number) => map.serialize_entry(name, &number)?,
                Field::Truth(truth) => map.serialize_entry(name, &truth)?,
                Field::Seconds(seconds) => map.serialize_entry(name, &seconds)?,
            }
        }
        map.end()
    }

    fn is_same(&self, other: &Self) -> bool {
        let told = |(_, field): &(&str, Field<'_>)| !matches!(field, Field::Seconds(_));
        let (mine, theirs) = (self.fields(), other.fields());
        mine.iter()
            .filter(|field| told(field))
            .eq(theirs.iter().filter(|field| told(field)))
    }

    fn hash_into(&self, hasher: &mut StarlarkHasher) {
        for (_, field) in self.fields() {
            match field {
                Field::Text(text) => text.hash(hasher),
                Field::Number(number) => number.hash(hasher),
                Field::Truth(truth) => truth.hash(hasher),
                Field::Seconds(_) => {}
            }
        }
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(text, f),
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(true) => f.write_str("True"),
            Self::Truth(false) => f.write_str("False"),
            Self::Seconds(seconds) => write!(f, "{seconds:?}"),
        }
    }
}

/// A text as the language writes it.
fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() && u32::from(c) < 0x100 => write!(f, "\\x{:02x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// What became of a command on one host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    pub(super) host: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// The output itself, where it is not UTF-8.
    pub(super) raw_stdout: Option<Bytes>,
    pub(super) raw_stderr: Option<Bytes>,
    pub(super) code: i64,
    pub(super) ok: bool,
    pub(super) dry_run: bool,
    pub(super) error: String,
    pub(super) signal: String,
    pub(super) skipped: bool,
    pub(super) duration: Duration,
}

impl Ran {
    /// A host on which all is well and nothing was written.
    pub(super) fn well(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            ok: true,
            ..Self::default()
        }
    }

    /// A host that could not be worked on.
    pub(super) fn failed(host: &str, error: String) -> Self {
        Self {
            host: host.to_owned(),
            code: NO_CODE,
            error,
            ..Self::default()
        }
    }

    pub(super) async fn of(host: &str, outcome: Outcome) -> Self {
        let mut ran = match &outcome.result {
            Ok(result) => Self {
                code: i64::from(result.status.shell_code()),
                ok: result.ok(),
                signal: match &result.status {
                    ExitStatus::Signal { name, .. } => name.clone(),
                    ExitStatus::Code(_) => String::new(),
                },
                ..Self::well(host)
            },
            Err(error) => Self {
                skipped: Skipped::of(error).is_some(),
                ..Self::failed(host, reason(error))
            },
        };
        ran.duration = outcome.duration;
        match (outcome.stdout.read_all().await, outcome.stderr.read_all().await) {
            (Ok(stdout), Ok(stderr)) => {
                (ran.stdout, ran.raw_stdout) = as_text(stdout);
                (ran.stderr, ran.raw_stderr) = as_text(stderr);
            }
            (Err(error), _) | (_, Err(error)) => {
                (ran.ok, ran.code) = (false, NO_CODE);
                ran.error = format!("the command has run, but its output is lost: {}", reason(&error));
            }
        }
        ran
    }
}

/// An error with what to do about it.
pub(super) fn reason(error: &sternline::Error) -> String {
    match error.hint() {
        "" => error.to_string(),
        hint => format!("{error} ({hint})"),
    }
}

fn as_text(bytes: Bytes) -> (String, Option<Bytes>) {
    match std::str::from_utf8(&bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes)),
    }
}

impl Record for Ran {
    const NAME: &'static str = "SSHResult";

    fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        vec![
            ("code", Field::Number(self.code)),
            ("dry_run", Field::Truth(self.dry_run)),
            ("duration", Field::Seconds(self.duration.as_secs_f64())),
            ("error", Field::Text(&self.error)),
            ("host", Field::Text(&self.host)),
            ("ok", Field::Truth(self.ok)),
            ("signal", Field::Text(&self.signal)),
            ("skipped", Field::Truth(self.skipped)),
            ("stderr", Field::Text(&self.stderr)),
            ("stdout", Field::Text(&self.stdout)),
        ]
    }
}

/// What became of a file on one host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moved {
    pub(super) host: String,
    pub(super) ok: bool,
    pub(super) bytes: u64,
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) dry_run: bool,
    pub(super) changed: bool,
    pub(super) error: String,
    pub(super) skipped: bool,
    pub(super) duration: Duration,
}

impl Record for Moved {
    const NAME: &'static str = "SSHTransferResult";

    fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        vec![
            (
                "bytes",
                Field::Number(i64::try_from(self.bytes).unwrap_or(i64::MAX)),
            ),
            ("changed", Field::Truth(self.changed)),
            ("dry_run", Field::Truth(self.dry_run)),
            ("dst", Field::Text(&self.dst)),
            ("duration", Field::Seconds(self.duration.as_secs_f64())),
            ("error", Field::Text(&self.error)),
            ("host", Field::Text(&self.host)),
            ("ok", Field::Truth(self.ok)),
            ("skipped", Field::Truth(self.skipped)),
            ("src", Field::Text(&self.src)),
        ]
    }
}

/// What became of a command on one host: `host`, `stdout`, `stderr`, `code`, `ok`, `dry_run`, `error`, `signal`, `skipped`,
/// `duration` in seconds, and `stdout_bytes` and `stderr_bytes` for output that is no text. It is true when it is ok.
#[derive(Debug, Clone, ProvidesStaticType, StarlarkPagablePanic, Allocative)]
pub(crate) struct SshResult(#[allocative(skip)] Arc<Ran>);
starlark_simple_value!(SshResult);

impl SshResult {
    pub(super) fn new(ran: Ran) -> Self {
        Self(Arc::new(ran))
    }
}

impl fmt::Display for SshResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

impl Serialize for SshResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialized(serializer)
    }
}

#[starlark_value(type = "SSHResult")]
impl<'v> StarlarkValue<'v> for SshResult {
    fn to_bool(&self) -> bool {
        self.0.ok
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other
            .downcast_ref::<Self>()
            .is_some_and(|other| self.0.is_same(&other.0)))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash_into(hasher);
        Ok(())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let bytes = |raw: &Option<Bytes>, text: &str| match raw {
            Some(raw) => heap.alloc(&raw[..]),
            None => heap.alloc(text.as_bytes()),
        };
        match attribute {
            "stdout_bytes" => Some(bytes(&self.0.raw_stdout, &self.0.stdout)),
            "stderr_bytes" => Some(bytes(&self.0.raw_stderr, &self.0.stderr)),
            _ => self.0.attribute(attribute, heap),
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        let names = self.0.fields().into_iter().map(|(name, _)| name.to_owned());
        let mut names: Vec<String> = names
            .chain(["stderr_bytes".to_owned(), "stdout_bytes".to_owned()])
            .collect();
        names.sort();
        names
    }
}

/// What became of a file on one host: `host`, `ok`, `bytes`, `src`, `dst`, `dry_run`, `changed`, `error`, `skipped` and
/// `duration` in seconds. It is true when it is ok.
#[derive(Debug, Clone, ProvidesStaticType, StarlarkPagablePanic, Allocative)]
pub(crate) struct SshTransferResult(#[allocative(skip)] Arc<Moved>);
starlark_simple_value!(SshTransferResult);

impl SshTransferResult {
    pub(super) fn new(moved: Moved) -> Self {
        Self(Arc::new(moved))
    }
}

impl fmt::Display for SshTransferResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

impl Serialize for SshTransferResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialized(serializer)
    }
}

#[starlark_value(type = "SSHTransferResult")]
impl<'v> StarlarkValue<'v> for SshTransferResult {
    fn to_bool(&self) -> bool {
        self.0.ok
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other
            .downcast_ref::<Self>()
            .is_some_and(|other| self.0.is_same(&other.0)))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash_into(hasher);
        Ok(())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        self.0.attribute(attribute, heap)
    }

    fn dir_attr(&self) -> Vec<String> {
        self.0
            .fields()
            .into_iter()
            .map(|(name, _)| name.to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran() -> Ran {
        Ran {
            stdout: "hi \"you\"\n\x1b".to_owned(),
            ..Ran::well("h1")
        }
    }

    #[test]
    fn a_result_is_printed_with_its_fields_in_order() {
        assert_eq!(
            SshResult::new(ran()).to_string(),
            "SSHResult(code = 0, dry_run = False, duration = 0.0, error = \"\", host = \"h1\", ok = True, signal = \"\", \
             skipped = False, stderr = \"\", stdout = \"hi \\\"you\\\"\\n\\x1b\")"
        );
    }

    #[test]
    fn every_result_lists_its_fields_in_the_order_of_their_names() {
        let names: Vec<_> = ran().fields().into_iter().map(|(name, _)| name).collect();
        assert!(names.is_sorted());
        let names: Vec<_> = Moved::default()
            .fields()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn results_that_differ_in_time_alone_are_equal() {
        let later = Ran {
            duration: Duration::from_secs(1),
            ..ran()
        };
        assert!(ran().is_same(&later));
        let other = Ran { code: 1, ..ran() };
        assert!(!ran().is_same(&other));
    }
}
