//! The options of `sternline cp`.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, ValueEnum};
use sternline::proto::files::{Filter, Mode, ModeError, PatternError, Way};

use crate::connect::{ConnectOptions, parse_duration};
use crate::fleet::FleetOptions;

const AFTER: &str = "\
FILE is a path on this machine, [user@]HOSTS:PATH, scp://[user@]host[:port]/PATH, or - for standard input or output. HOSTS is \
one host or a comma list of them, also with ranges such as web-[01-20]; IPv6 addresses stand in brackets. A local file with a \
colon in its name is written ./NAME. PATH begins in the home directory unless it begins with /.

What comes from several hosts carries the name of its host: app.log.web-1, and with a directory as the target \
DIR/app.log.web-1. What goes to several hosts is read once.

Nothing is ever half-written: a file is written beside its target under a random name and then takes its place. Patterns are \
those of rsync: the first one that matches decides, * does not cross /, ** does, a leading / means the root of the copy, a / at \
the end a directory.

Between this machine and several hosts all options for several hosts count; otherwise --forks, --fail-fast, --max-failures, \
--retry-failed and --yes do, each copy being one. The first Ctrl-C begins no further one and lets the others end, the second ends \
them.

Exit status: 0 when everything was copied; 1 when something was not; 2 when the command line makes no sense; 124 when --timeout \
passed; 255 when the only host could not be reached or its connection was lost; 130 and 143 after Ctrl-C and SIGTERM.

JSON, one object a line: schema (sternline.cp/1) and event; for each file host, ok, src, dst, bytes, seconds, outcome (copied, made, \
skipped, removed, failed) and reason or error; at the end for each host host, ok, bytes, src, dst, seconds, the counts and error, and not_begun with the reason where nothing was begun.";

/// Copy files to, from and between hosts
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = AFTER,
    override_usage = "sternline cp [OPTIONS] SOURCE... TARGET",
    mut_arg("port", |arg| arg.short('P')),
    mut_arg("login", |arg| arg.short(None)),
    mut_arg("jump", |arg| arg.help("Go through these hosts, the nearest first: a comma list of [user@]host[:port]. Their users, \
        keys and other settings come from ~/.ssh/config; --login, -P, -i and -o are for the hosts at the end")),
    mut_arg("timeout", |arg| arg.help("How long the whole copy may take, such as 10m [default: no limit]")),
    mut_arg("json", |arg| arg.help("Print one JSON object per file and per host on standard output")),
)]
pub(crate) struct Args {
    /// What to copy, and where to: [HOSTS:]PATH each; with several sources the target is a directory
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    pub(super) files: Vec<OsString>,

    #[command(flatten)]
    pub(super) copy: CopyOptions,

    #[command(flatten)]
    pub(super) patterns: Patterns,

    #[command(flatten)]
    pub(super) fleet: FleetOptions,

    #[command(flatten)]
    pub(crate) connect: ConnectOptions,
}

/// How it is copied.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Copying")]
pub(crate) struct CopyOptions {
    /// Copy directories with all that they hold
    #[arg(short, long)]
    pub(super) recursive: bool,

    /// Keep modes and modification times
    #[arg(short = 'p', long)]
    pub(super) preserve: bool,

    /// Give every file this mode, such as 0644, whatever the umask
    #[arg(long, value_name = "MODE", value_parser = exact_mode)]
    pub(super) mode: Option<u32>,

    /// What becomes of symbolic links inside a tree
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    pub(super) symlinks: SymlinkChoice,

    /// Remove from the target tree what the source tree does not have, once everything else succeeded
    #[arg(long, requires = "recursive")]
    pub(super) delete: bool,

    /// Let --delete empty the target when the source is empty
    #[arg(long, requires = "delete")]
    pub(super) allow_empty: bool,

    /// Go on where an interrupted copy stopped, after checking the part that is there, and leave such a part if this one is
    /// interrupted
    #[arg(long)]
    pub(super) resume: bool,

    /// Compare what was written with what was read before a file takes its place; with --skip-unchanged, compare content
    #[arg(long)]
    pub(super) checksum: bool,

    /// Leave files alone whose size and modification time are the same already
    #[arg(long)]
    pub(super) skip_unchanged: bool,

    /// Change nothing, and show what would be done
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Have every file on stable storage before it takes its place
    #[arg(long)]
    pub(super) fsync: bool,

    /// Move at most so many Kbit/s
    #[arg(short = 'l', long = "bwlimit", value_name = "KBITS", value_parser = limit())]
    pub(super) limit: Option<u64>,

    /// Give up when nothing has moved for this long, such as 30s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) progress_timeout: Option<Duration>,

    /// Take this way, whatever the server offers [default: the fastest]
    #[arg(long, value_name = "WAY")]
    way: Option<WayChoice>,

    /// The same as --way scp
    #[arg(short = 'O', conflicts_with = "way")]
    legacy: bool,

    /// Between hosts, copy through this machine, which is always done: for scripts made for scp
    #[arg(short = '3', hide = true)]
    through_here: bool,
}

impl CopyOptions {
    /// The way that is insisted on.
    pub(super) fn forced_way(&self) -> Option<Way> {
        match self.way {
            _ if self.legacy => Some(Way::Scp),
            Some(WayChoice::Sftp) => Some(Way::Sftp),
            Some(WayChoice::Shell) => Some(Way::Shell),
            Some(WayChoice::Scp) => Some(Way::Scp),
            None => None,
        }
    }

    /// The limit in bytes per second; scp(1) counts in thousands of bits of 1024.
    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        self.limit.map(|kbits| kbits * 1024 / 8)
    }
}

/// What becomes of symbolic links inside a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SymlinkChoice {
    /// They are made anew
    Keep,
    /// What they lead to is copied, as scp does
    Follow,
    /// They are left out
    Skip,
}

/// A way to move files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WayChoice {
    /// The SFTP subsystem
    Sftp,
    /// The server's shell, with tar for trees
    Shell,
    /// scp's old protocol, which writes in place
    Scp,
}

/// Reads a mode that says all bits, as `0644` and `u=rw,go=r` do.
fn exact_mode(text: &str) -> Result<u32, String> {
    let mode: Mode = text.parse().map_err(|error: ModeError| error.to_string())?;
    let bits = mode.apply(0, false, 0);
    if bits == mode.apply(0o7777, false, 0) {
        Ok(bits)
    } else {
        Err(format!(
            "the mode {text} depends on what the file has: write all of it, such as 0644 or u=rw,go=r"
        ))
    }
}

/// Refuses a pattern that makes no sense, so that the message names the option it came with.
fn sound_pattern(text: OsString) -> Result<OsString, PatternError> {
    Filter::new().exclude(text.as_encoded_bytes())?;
    Ok(text)
}

/// The bounds that scp(1) has.
fn limit() -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=100 * 1024 * 1024)
}

/// `--include` and `--exclude`, in the order in which they were given: it decides which of them counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns {
    pub(super) filter: Filter,
}

impl clap::Args for Patterns {
    fn augment_args(command: Command) -> Command {
        let pattern = |name: &'static str| {
            Arg::new(name)
                .long(name)
                .value_name("PATTERN")
                .value_parser(clap::builder::OsStringValueParser::new().try_map(sound_pattern))
                .action(ArgAction::Append)
                .help_heading("Copying")
        };
        command
            .arg(
                pattern("include")
                    .help("Copy what matches; may be given several times, the first that matches decides"),
            )
            .arg(
                pattern("exclude").help(
                    "Leave out what matches; may be given several times, the first that matches decides",
                ),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Patterns {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given: Vec<(usize, bool, &OsString)> = Vec::new();
        for (name, includes) in [("include", true), ("exclude", false)] {
            if matches.value_source(name) == Some(ValueSource::CommandLine) {
                let patterns = matches.get_many::<OsString>(name).into_iter().flatten();
                let places = matches.indices_of(name).into_iter().flatten();
                given.extend(
                    places
                        .zip(patterns)
                        .map(|(place, pattern)| (place, includes, pattern)),
                );
            }
        }
        given.sort_by_key(|(place, ..)| *place);
        let filter = given
            .into_iter()
            .try_fold(Filter::new(), |filter, (_, includes, pattern)| {
                let pattern = pattern.as_encoded_bytes();
                if includes {
                    filter.include(pattern)
                } else {
                    filter.exclude(pattern)
                }
            });
        // Each of them was looked at when it was read.
        let filter =
            filter.map_err(|error| clap::Error::raw(clap::error::ErrorKind::ValueValidation, error))?;
        Ok(Self { filter })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::cli::{Cli, Verb};

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        let words = ["sternline", "cp"].iter().chain(arguments);
        match Cli::try_parse_from(words)?.verb {
            Verb::Cp(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_letters_mean_what_they_mean_to_scp() {
        let args = parse(&[
            "-rp", "-P", "2222", "-i", "key", "-J", "bastion", "-l", "8", "-3", "-q", "a", "b", "h:",
        ])
        .unwrap();
        assert!(args.copy.recursive && args.copy.preserve);
        assert_eq!(args.connect.port, Some(2222));
        assert_eq!(args.connect.jump.as_deref(), Some("bastion"));
        assert_eq!(args.connect.identities.len(), 1);
        assert_eq!(args.copy.bytes_per_second(), Some(1024));
        assert_eq!(args.files, ["a", "b", "h:"]);
        assert_eq!(args.copy.forced_way(), None);
        let args = parse(&["-O", "-o", "User=bob", "-F", "none", "a", "h:"]).unwrap();
        assert_eq!(args.copy.forced_way(), Some(Way::Scp));
    }

    #[test]
    fn options_may_stand_behind_the_files_and_paths_behind_two_dashes() {
        let args = parse(&["a", "h:", "-r"]).unwrap();
        assert!(args.copy.recursive);
        assert_eq!(parse(&["--", "-r", "h:"]).unwrap().files, ["-r", "h:"]);
        assert_eq!(parse(&["-", "h:x"]).unwrap().files, ["-", "h:x"]);
    }

    #[test]
    fn patterns_count_in_the_order_in_which_they_are_given() {
        let both = |first: &str, second: &str| {
            let args = parse(&[first, "keep.o", second, "*.o", "a", "h:"]).unwrap();
            args.patterns.filter.decide(b"keep.o", false)
        };
        assert!(both("--include", "--exclude"));
        assert!(!both("--exclude", "--include"));
        let args = parse(&["--exclude=*.o", "--include=keep.o", "--exclude", "*.a", "a", "h:"]).unwrap();
        for (name, included) in [("x.o", false), ("keep.o", false), ("x.a", false), ("x.c", true)] {
            assert_eq!(
                args.patterns.filter.decide(name.as_bytes(), false),
                included,
                "{name}"
            );
        }
        assert!(parse(&["a", "h:"]).unwrap().patterns.filter.is_empty());
    }

    #[test]
    fn a_mode_says_all_bits() {
        for (text, bits) in [
            ("0644", 0o644),
            ("u=rw,go=r", 0o644),
            ("a=rx", 0o555),
            ("4755", 0o4755),
        ] {
            assert_eq!(
                parse(&["--mode", text, "a", "h:"]).unwrap().copy.mode,
                Some(bits),
                "{text}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in [
            &["a"][..],
            &[],
            &["--exclude", "[", "a", "h:"],
            &["--mode", "u+q", "a", "h:"],
            &["--mode", "999", "a", "h:"],
            &["--mode", "u+x", "a", "h:"],
            &["-l", "0", "a", "h:"],
            &["-l", "fast", "a", "h:"],
            &["-P", "0", "a", "h:"],
            &["--delete", "a", "h:"],
            &["--allow-empty", "a", "h:"],
            &["--way", "ftp", "a", "h:"],
            &["-O", "--way", "sftp", "a", "h:"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
