//! `sternline watch`: a script that is run again each time that its files change.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sternline::proto::text::escape;
use sternline_script::{Ended, ErrorKind, ScriptError, Session, Stop, Why};
use tokio::time::sleep;

use crate::script::{Running, ScriptOptions, Written, read, report};
use crate::ui::report::time;
use crate::ui::{Failure, Signals, Ui};

const NOTES: &str = "\
It looks at the script and at the files that it has loaded five times a second, so that a file which was replaced is noticed like \
one that was written to. A script that still runs is ended first, with what it runs on hosts, and its deferred functions are called.

Exit status: 130, 143 and 129 for Ctrl-C, SIGTERM and SIGHUP, which end it; 2 when the command line makes no sense or the \
script cannot be read at first.";

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Run a script again whenever it changes
#[derive(Debug, clap::Args)]
#[command(
    after_help = NOTES,
    mut_arg("timeout", |arg| arg.help("How long each run may take, such as 90s or 5m [default: no limit]")),
)]
pub(crate) struct Args {
    /// The script
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The script's own arguments
    #[arg(value_name = "ARGS")]
    arguments: Vec<String>,

    #[command(flatten)]
    options: ScriptOptions,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    if args.file == Path::new("-") {
        return Err(Failure::usage("standard input cannot change").with_hint("name the script's file"));
    }
    read(&args.file)?;
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    loop {
        let watched = once(&args, &mut signals, ui).await?;
        tokio::select! {
            changed = watched.changed() => ui.line(&format!("--- {} has changed: running again", shown(&changed))),
            signal = signals.next() => return Err(Failure::interrupted(signal)),
        }
    }
}

/// Runs the script to its end, or until it changes. Returns the files as they were when it began.
async fn once(args: &Args, signals: &mut Signals, ui: &Ui) -> Result<Watched, Failure> {
    let mut watched = Watched::new(&args.file);
    let source = match read(&args.file) {
        Ok(source) => source,
        // It was read before: somebody is about to replace it.
        Err(failure) => {
            ui.error(&failure);
            return Ok(watched);
        }
    };
    let stop = Stop::default();
    let written = Arc::new(Written::new(&stop, ui)?);
    let session = args
        .options
        .session(&source.text, &args.arguments, &stop, &written, ui)?;
    let begun = Instant::now();
    let mut changed = false;
    let work = async {
        let mut script = std::pin::pin!(sternline_script::run(session.clone(), source));
        loop {
            tokio::select! {
                ended = &mut script => return ended,
                () = watched.changed_of(&session), if !changed => {
                    changed = true;
                    stop.stop(Why::Interrupted);
                }
            }
        }
    };
    let running = Running {
        stop: &stop,
        signals,
        limit: args.options.timeout,
    };
    let outcome = running.until_end(work).await?;
    if let Some(failure) = written.failed() {
        return Err(failure);
    }
    if let Some(signal) = outcome.signal {
        return Err(Failure::interrupted(signal));
    }
    watched.add(session.loaded());
    tell(&outcome.result, begun.elapsed(), ui);
    Ok(watched)
}

/// Says how a run went.
fn tell(result: &Result<Ended, ScriptError>, took: Duration, ui: &Ui) {
    let how = match result {
        Ok(ended) if ended.status == 0 => "ended".to_owned(),
        Ok(ended) => format!("ended with exit status {}", ended.status),
        // It was told to, because it has changed.
        Err(error) if error.kind() == &ErrorKind::Stopped(Why::Interrupted) => "was ended".to_owned(),
        Err(error) => {
            report(error, ui);
            "failed".to_owned()
        }
    };
    ui.line(&format!(
        "--- the script {how} after {}; waiting for a change",
        time(took)
    ));
}

/// Files, as they were when they were read.
struct Watched(Vec<(PathBuf, Option<Stamp>)>);

/// What changes when a file is written to or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::from)
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

impl Watched {
    fn new(script: &Path) -> Self {
        Self(vec![(script.to_owned(), Stamp::of(script))])
    }

    /// Adds what a script has loaded.
    fn add(&mut self, files: Vec<(PathBuf, Option<Metadata>)>) {
        for (file, found) in files {
            if !self.0.iter().any(|(known, _)| *known == file) {
                self.0.push((file, found.as_ref().map(Stamp::from)));
            }
        }
    }

    /// The files as they are now.
    fn now(&self) -> Vec<Option<Stamp>> {
        self.0.iter().map(|(file, _)| Stamp::of(file)).collect()
    }

    /// Waits until a file is another one than when it was read, or one that the script loads meanwhile. Cancel-safe.
    async fn changed_of(&mut self, session: &Session) {
        loop {
            sleep(INTERVAL).await;
            self.add(session.loaded());
            if self.0.iter().zip(self.now()).any(|((_, then), now)| *then != now) {
                return;
            }
        }
    }

    /// Waits until a file has changed, and stays as it is for a moment: somebody may still be writing it. Returns its path. A
    /// script that has gone is waited for.
    async fn changed(&self) -> PathBuf {
        let mut before = None;
        loop {
            let now = self.now();
            let differs = self.0.iter().zip(&now).find(|((_, then), now)| then != *now);
            let settled = before.as_ref() == Some(&now) && now.first().is_some_and(Option::is_some);
            if let Some(((file, _), _)) = differs
                && settled
            {
                return file.clone();
            }
            before = Some(now);
            sleep(INTERVAL).await;
        }
    }
}

fn shown(file: &Path) -> String {
    escape(&file.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_to_or_replaced_is_another_one() {
        let folder = std::env::temp_dir().join(format!("sternline-watch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("x.star");
        std::fs::write(&file, "1").unwrap();
        let first = Stamp::of(&file);
        assert_eq!(first, Stamp::of(&file));
        std::fs::write(&file, "12").unwrap();
        let second = Stamp::of(&file);
        assert_ne!(first, second);
        std::fs::write(folder.join("new"), "13").unwrap();
        std::fs::rename(folder.join("new"), &file).unwrap();
        assert_ne!(second, Stamp::of(&file));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(Stamp::of(&file), None);
    }
}
