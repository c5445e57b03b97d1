//! The options of `sternline test`.

use std::path::PathBuf;

use crate::script::ScriptOptions;

const NOTES: &str = "\
A directory stands for all files below it that are called *_test.star, without hidden directories, by name. Of each file the body is \
run once; then each function whose name begins with test_, in the order of the file. Where there are functions setup and teardown, \
they are called before and after each test. What tests write is shown when they fail, or at once with -v, unless files are run in parallel. A test fails by an \
error, by a call of exit, and when it takes too long; it is left out when it calls skip. Test servers, keys, connections and what \
was given to defer are cleaned up behind each test, however it ends.

--run takes a part of a test's name, or a pattern with * and ? for all of it.

Exit status: 0 when all tests passed; 1 when a test failed, a file could not be loaded, or no test was found; 2 when the command line \
makes no sense; 130 or 143 for Ctrl-C or SIGTERM.

JSON, one object a line: for each test schema (sternline.test/1), kind (test), file, test, line, outcome (passed, failed, skipped), \
reason, problems, output, duration_ms; behind the tests of each file one of the kind file, with outcome, reason, problems and output \
of its body, and passed, failed, skipped, not_run; at last one of the kind summary. A problem has stage (load, setup, test, teardown), \
message, and frames, outermost first.";

/// Run the tests of Starlark scripts
#[derive(Debug, clap::Args)]
#[command(
    after_help = NOTES,
    mut_arg("timeout", |arg| arg.help("How long each test may take, such as 90s or 5m; the next one goes on [default: 5m]")),
)]
pub(crate) struct Args {
    /// Files of tests, and directories of such files
    #[arg(value_name = "PATH", required = true)]
    pub(super) paths: Vec<PathBuf>,

    /// Run only tests whose name has this part, or is like this pattern; may be given several times
    #[arg(long = "run", value_name = "NAME")]
    pub(super) filters: Vec<String>,

    /// How many files to work on at a time
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) parallel: u16,

    /// Begin no further test once one has failed
    #[arg(long)]
    pub(super) fail_fast: bool,

    /// Write what came of each test as JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,

    /// Write a report in JUnit's XML to this file as well
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,

    /// Succeed where there is no test
    #[arg(long)]
    pub(super) allow_none: bool,

    #[command(flatten)]
    pub(super) script: ScriptOptions,
}
