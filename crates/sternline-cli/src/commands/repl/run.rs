//! Reading, evaluating, printing, until there is nothing more to read.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use sternline::config::Env;
use sternline_script::{ErrorKind, Repl, Reply, Stop};

use super::editor::Editor;
use super::history;
use super::typed::{Inputs, Piped, Typed};
use crate::exit;
use crate::script::{Running, ScriptOptions, Written, report};
use crate::ui::{Failure, INTERRUPT, Signals, Ui, terminal};

const NOTES: &str = "\
At a terminal lines can be edited, Up and Ctrl-R find earlier ones, and Tab completes names, members such as ssh.config, and \
parameters. A block, such as a def, ends with an empty line. The value of an expression is shown. Ctrl-C ends a call that goes \
on, with what it runs on hosts; Ctrl-D or exit() leaves. help(x) says what x is; .vars lists variables, .help and .exit do what \
they say. Inputs are kept for the next time in the directory of the history, for their owner only; what looks like a \
secret, or begins with a blank, is not.

From a pipe or a file it reads lines without prompts, and a block ends with the next line that is not indented.

Exit status: what is given to exit(), else 0; from a pipe 1 when an input failed; 143 and 129 for SIGTERM and SIGHUP, from a \
pipe 130 for Ctrl-C.";

/// Type Starlark line by line
#[derive(Debug, clap::Args)]
#[command(
    after_help = NOTES,
    mut_arg("timeout", |arg| arg.help("How long each input may take, such as 90s or 5m [default: no limit]")),
)]
pub(crate) struct Args {
    #[command(flatten)]
    options: ScriptOptions,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let stop = Stop::default();
    let written = Arc::new(Written::new(&stop, ui)?);
    let session = args.options.session("", &[], &stop, &written, ui)?;
    let repl = Repl::start(session).map_err(|error| Failure::local(error.to_string()))?;
    let repl = Arc::new(repl);
    let person = std::io::stdin().is_terminal();
    let cannot = |error: std::io::Error| Failure::local(format!("cannot read standard input: {error}"));
    // A signal may end this while a line is edited, and leave the terminal as it is then.
    let _terminal = match person {
        true => Some(terminal::remember(std::io::stdin()).map_err(cannot)?),
        false => None,
    };
    let inputs = if person {
        ui.line("Starlark. help(x) says what x is, Tab completes, Ctrl-D leaves.");
        Inputs::start(Editor::new(&repl, history::file(&Env::system()), ui)?)
    } else {
        Inputs::start(Piped::new())
    };
    let conversation = Conversation {
        inputs: inputs.map_err(cannot)?,
        repl,
        stop,
        written,
        signals,
        options: args.options,
        person,
        failed: false,
        ui,
    };
    conversation.until_end().await
}

struct Conversation<'a> {
    inputs: Inputs,
    repl: Arc<Repl>,
    stop: Stop,
    written: Arc<Written>,
    signals: Signals,
    options: ScriptOptions,
    person: bool,
    /// An input has failed.
    failed: bool,
    ui: &'a Ui,
}

/// Why it ends.
enum Left {
    Exited(i32),
    Ended,
    Signal(u8),
}

impl Conversation<'_> {
    async fn until_end(mut self) -> Result<ExitCode, Failure> {
        let left = loop {
            self.inputs.ask();
            if let Some(left) = self.step().await? {
                break left;
            }
        };
        let repl = Arc::clone(&self.repl);
        let ending = Running {
            stop: &self.stop,
            signals: &mut self.signals,
            limit: None,
        };
        ending.until_end(repl.end()).await?;
        if let Some(failure) = self.written.failed() {
            return Err(failure);
        }
        match left {
            Left::Exited(status) => Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))),
            Left::Signal(signal) => Err(Failure::interrupted(signal)),
            Left::Ended if self.failed && !self.person => Ok(ExitCode::from(exit::FAILED)),
            Left::Ended => Ok(ExitCode::SUCCESS),
        }
    }

    /// Reads one input and does what it says.
    async fn step(&mut self) -> Result<Option<Left>, Failure> {
        let typed = loop {
            tokio::select! {
                typed = self.inputs.next() => break typed,
                // At the prompt of a terminal Ctrl-C is a key.
                signal = self.signals.next() => if signal != INTERRUPT || !self.person {
                    return Ok(Some(Left::Signal(signal)));
                },
            }
        };
        match typed {
            Typed::Nothing => Ok(None),
            Typed::End => Ok(Some(Left::Ended)),
            Typed::Failed(problem) => Err(Failure::local(format!("cannot read the next line: {problem}"))
                .with_hint("give it lines of UTF-8 text")),
            Typed::Command(command) => self.command(&command).await,
            Typed::Input(text) => self.evaluate(text).await,
        }
    }

    async fn command(&mut self, command: &str) -> Result<Option<Left>, Failure> {
        match command.split_once(' ').unwrap_or((command, "")) {
            ("exit" | "quit", "") => Ok(Some(Left::Ended)),
            ("vars", "") => {
                for (name, value) in self.repl.variables().await {
                    let shown: String = value.chars().take(100).collect();
                    let cut = if shown.len() < value.len() { "..." } else { "" };
                    self.written.line(&format!("{name} = {shown}{cut}"));
                }
                Ok(None)
            }
            ("help", what) => self.evaluate(format!("help({what})")).await,
            _ => {
                self.ui.hint("there are .help, .help NAME, .vars and .exit");
                self.failed = true;
                Ok(None)
            }
        }
    }

    async fn evaluate(&mut self, text: String) -> Result<Option<Left>, Failure> {
        let repl = Arc::clone(&self.repl);
        let running = Running {
            stop: &self.stop,
            signals: &mut self.signals,
            limit: self.options.timeout,
        };
        let outcome = running.until_end(repl.eval(text)).await?;
        if let Some(failure) = self.written.failed() {
            return Err(failure);
        }
        match outcome.result {
            Reply::Done(Some(value)) => self.written.line(&value),
            Reply::Done(None) => {}
            Reply::Exited(status) => return Ok(Some(Left::Exited(status))),
            Reply::Failed(error) if error.kind() == &ErrorKind::Unreadable => {
                return Err(Failure::local(error.to_string()).with_hint("start it again"));
            }
            Reply::Failed(error) => {
                self.failed = true;
                report(&error, self.ui);
            }
            _ => {}
        }
        match outcome.signal {
            Some(signal) if signal != INTERRUPT || !self.person => Ok(Some(Left::Signal(signal))),
            _ => Ok(None),
        }
    }
}
