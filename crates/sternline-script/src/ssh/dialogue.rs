//! A dialogue with a program on one host: wait for what it writes, and answer.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use allocative::Allocative;
use either::Either;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::list::UnpackList;
use starlark::values::none::NoneType;
use starlark::values::structs::AllocStruct;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline::exec::{ExecRequest, Pty};
use sternline::expect::{ExpectPattern, ExpectResult};
use sternline::{AutomationEngine, Secret};
use tokio::sync::Mutex;

use super::arguments::{Name, Of, length, strings};
use super::result::reason;
use super::settings::Called;
use super::work::{Engine, Work};
use super::{one, permit};
use crate::context::Context;
use crate::outcome::try_method;
use crate::wait::wait;

/// How long is waited where nothing else was said.
const PATIENCE: Duration = Duration::from_secs(30);

/// A dialogue with a program on one host.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Dialogue(#[allocative(skip)] Arc<Inner>);
starlark_simple_value!(Dialogue);

struct Inner {
    host: String,
    engine: Engine,
    timeout: Duration,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogue")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Starts a command in order to talk to it.
pub(super) fn start(
    work: &Arc<Work>,
    cmd: &str,
    called: Called,
    host: Option<&str>,
    pty: bool,
    timeout: Option<Duration>,
    eval: &mut Evaluator<'_, '_, '_>,
) -> anyhow::Result<Dialogue> {
    let settings = &work.settings;
    let index = one::index("expect", &settings.hosts, host)?;
    let session = Context::of(eval)?.session.clone();
    let around = settings
        .defaults
        .around(called)
        .map_err(|error| anyhow::anyhow!("expect: {error}"))?;
    if let Some(host) = settings.hosts.get(index) {
        permit::command(&session, "expect", host, cmd, &around)?;
    }
    let mut request = ExecRequest::new(around.command(cmd));
    if settings.dry_run {
        return Err(anyhow::anyhow!("expect: a dry run talks to nobody"));
    }
    if let Some(password) = &settings.defaults.sudo_password {
        request = request.sudo_password(password.clone());
    }
    if pty {
        request = request.pty(Pty::default());
    }
    let (work, timeout) = (Arc::clone(work), timeout.unwrap_or(PATIENCE));
    wait(eval, async move {
        let connection = work.connection(&session, index).await?;
        let host = work.labels.get(index).cloned().unwrap_or_default();
        let engine = connection.automate(request).await;
        let engine = engine.map_err(|error| anyhow::anyhow!("expect: host {host}: {}", reason(&error)))?;
        let engine: Engine = Arc::new(Mutex::new(Some(engine.ignore_control_sequences(pty))));
        work.remember_dialogue(&engine);
        Ok(Dialogue(Arc::new(Inner {
            host,
            engine,
            timeout,
        })))
    })?
}

impl Dialogue {
    /// Does something with the engine, if it is still there.
    fn with<T, F>(
        &self,
        eval: &mut Evaluator<'_, '_, '_>,
        work: impl FnOnce(Held) -> F + Send + 'static,
    ) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = sternline::Result<T>> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        wait(eval, async move {
            let held = Arc::clone(&inner.engine).lock_owned().await;
            if held.is_none() {
                return Err(anyhow::anyhow!(
                    "expect: host {}: the dialogue was closed",
                    inner.host
                ));
            }
            let done = work(Held(held)).await;
            done.map_err(|error| anyhow::anyhow!("expect: host {}: {}", inner.host, reason(&error)))
        })?
    }
}

/// The engine of a dialogue that nobody else uses meanwhile.
struct Held(tokio::sync::OwnedMutexGuard<Option<AutomationEngine>>);

impl Held {
    /// Nobody has taken it since it was looked at.
    fn engine(&mut self) -> sternline::Result<&mut AutomationEngine> {
        self.0
            .as_mut()
            .ok_or_else(|| sternline::Error::new(sternline::ErrorKind::Cancelled, "the dialogue was closed"))
    }
}

/// What was found, for the script.
fn found<'v>(result: &ExpectResult, patterns: &[String], heap: Heap<'v>) -> Value<'v> {
    let before = result
        .buffer
        .strip_suffix(result.match_text.as_str())
        .unwrap_or(&result.buffer);
    let index = patterns
        .iter()
        .position(|pattern| pattern == result.pattern.pattern());
    let groups: Vec<Value<'v>> = result
        .groups
        .iter()
        .map(|group| {
            group
                .as_ref()
                .map_or_else(Value::new_none, |group| heap.alloc(group.as_str()))
        })
        .collect();
    heap.alloc(AllocStruct([
        ("before", heap.alloc(before)),
        ("groups", heap.alloc(groups)),
        (
            "index",
            heap.alloc(index.map_or(0, |index| i32::try_from(index).unwrap_or(i32::MAX))),
        ),
        ("text", heap.alloc(result.match_text.as_str())),
    ]))
}

impl fmt::Display for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ssh.dialogue host={}>", self.0.host)
    }
}

starlark::methods_static!(METHODS = methods);

/// The methods that have a `try_` form.
const TRIED: [&str; 7] = [
    "close",
    "expect",
    "finish",
    "send",
    "send_eof",
    "send_line",
    "send_secret",
];

#[starlark_value(type = "ssh.dialogue")]
impl<'v> StarlarkValue<'v> for Dialogue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let tried = attribute
            .strip_prefix("try_")
            .filter(|method| TRIED.contains(method));
        tried.and_then(|_| try_method(heap.alloc(self.clone()), attribute, heap))
    }

    fn dir_attr(&self) -> Vec<String> {
        TRIED.iter().map(|method| format!("try_{method}")).collect()
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The host that the program runs on.
    #[starlark(attribute)]
    fn host(this: &Dialogue) -> anyhow::Result<String> {
        Ok(this.0.host.clone())
    }

    /// Waits for output. Returns a struct: `text` is what matched, `before` the output in front of it, `groups` what the groups
    /// of a regular expression matched, and `index` the place of the pattern in the list. The output is used up through the
    /// match. It is an error when the time is over, or the program ends before.
    ///
    /// # Arguments
    ///
    /// * `pattern`: a text, or a list of texts of which the first one to appear counts.
    /// * `timeout`: how long to wait. Default: as the dialogue was told.
    /// * `regex`: whether the patterns are regular expressions.
    fn expect<'v>(
        this: &Dialogue,
        pattern: Of<'v, Either<String, UnpackList<String>>>,
        #[starlark(require = named)] timeout: Option<&str>,
        #[starlark(require = named, default = false)] regex: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let name = Name::new("expect", "pattern");
        let texts = match pattern.get().unpack_str() {
            Some(text) => vec![text.to_owned()],
            None => strings(name, pattern.get())?,
        };
        let patterns = texts.iter().map(|text| match regex {
            true => ExpectPattern::regex(text),
            false => ExpectPattern::literal(text),
        });
        let patterns: Vec<ExpectPattern> = patterns
            .collect::<Result<_, _>>()
            .map_err(|error| name.wrong(error))?;
        let timeout = length("expect", "timeout", timeout)?.unwrap_or(this.0.timeout);
        let result = this.with(eval, move |mut held| async move {
            held.engine()?.expect_any(patterns, timeout).await
        })?;
        if !result.matched {
            let end = sternline::proto::expect::seen_last(&result.buffer);
            return Err(anyhow::anyhow!(
                "expect: host {}: the program ended before \"{}\" came; its output ended with \"{end}\"",
                this.0.host,
                texts
                    .iter()
                    .map(|text| sternline::proto::text::escape(text))
                    .collect::<Vec<_>>()
                    .join("\" or \"")
            ));
        }
        Ok(found(&result, &texts, eval.heap()))
    }

    /// Sends a text as it is.
    fn send<'v>(this: &Dialogue, text: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let text = text.to_owned();
        this.with(eval, move |mut held| async move {
            held.engine()?.send(text, false).await
        })?;
        Ok(NoneType)
    }

    /// Sends a text and a line's end.
    fn send_line<'v>(
        this: &Dialogue,
        text: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let text = text.to_owned();
        this.with(eval, move |mut held| async move {
            held.engine()?.send_line(text).await
        })?;
        Ok(NoneType)
    }

    /// Sends a password and a line's end. It is recorded nowhere.
    fn send_secret<'v>(
        this: &Dialogue,
        secret: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let secret = Secret::from(secret);
        this.with(eval, move |mut held| async move {
            held.engine()?.send_secret(&secret).await
        })?;
        Ok(NoneType)
    }

    /// Ends the program's input.
    fn send_eof<'v>(this: &Dialogue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        this.with(
            eval,
            move |mut held| async move { held.engine()?.send_eof().await },
        )?;
        Ok(NoneType)
    }

    /// Waits until the program ends, and returns its exit status: -1 where nobody knows it.
    ///
    /// # Arguments
    ///
    /// * `timeout`: how long to wait. Default: as the dialogue was told.
    fn finish<'v>(
        this: &Dialogue,
        #[starlark(require = named)] timeout: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<i64> {
        let timeout = length("finish", "timeout", timeout)?.unwrap_or(this.0.timeout);
        let status = this.with(eval, move |mut held| async move {
            held.engine()?.expect_end(timeout).await
        })?;
        Ok(status.map_or(-1, |status| i64::from(status.shell_code())))
    }

    /// Ends the program, if it still runs.
    fn close<'v>(this: &Dialogue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let engine = Arc::clone(&this.0.engine);
        wait(eval, async move {
            engine.lock().await.take();
        })?;
        Ok(NoneType)
    }
}
