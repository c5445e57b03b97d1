//! The kinds of work that the peers do at commands.

use crate::results::{Quantity, Session, Wanted, Work as Measured};
use crate::suite::Bench;

/// A kind of work that every peer knows how to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// `true` on a connection that is open already, one after another.
    Exec,
    /// A new connection and `true` on it, one after another.
    Connect,
    /// MiB of zeros read from one command's output.
    Stream,
    /// As `Exec`, as a guest's client does it without a shell of its own.
    GuestRun,
    /// A builtin of the shell; Sternline has one shell for all.
    GuestBuiltin,
    /// A builtin that has to have a subshell.
    GuestSubshell,
    /// The same, in the shell itself instead of a subshell.
    GuestKept,
    /// A program; Sternline has one shell for all.
    GuestProgram,
    /// A MiB of output; Sternline has one shell for all.
    GuestOutput,
}

/// What the workload `commands` measures.
pub(crate) const COMMANDS: [Work; 3] = [Work::Exec, Work::Connect, Work::Stream];

/// What the workload `guest` measures.
pub(crate) const GUEST: [Work; 6] = [
    Work::GuestRun,
    Work::GuestBuiltin,
    Work::GuestSubshell,
    Work::GuestKept,
    Work::GuestProgram,
    Work::GuestOutput,
];

impl Work {
    /// Its name in a request to a worker.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Connect => "connect",
            Self::Stream => "stream",
            Self::GuestRun => "guest-run",
            Self::GuestBuiltin => "guest-builtin",
            Self::GuestSubshell => "guest-subshell",
            Self::GuestKept => "guest-kept",
            Self::GuestProgram => "guest-program",
            Self::GuestOutput => "guest-output",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        COMMANDS.into_iter().chain(GUEST).find(|work| work.name() == name)
    }

    pub(crate) fn count(self, bench: &Bench) -> u32 {
        match self {
            Self::Exec => bench.amount(50, 3),
            Self::Connect => bench.amount(5, 1),
            Self::Stream => bench.amount(64, 1),
            Self::GuestRun
            | Self::GuestBuiltin
            | Self::GuestSubshell
            | Self::GuestKept
            | Self::GuestProgram => bench.amount(100, 3),
            Self::GuestOutput => bench.amount(20, 1),
        }
    }

    /// What is compared, without rows yet.
    pub(crate) fn measured(self, count: u32) -> Measured {
        let (name, title, timed, of) = match self {
            Self::Exec => (
                "warm-command",
                "A command on an open connection",
                format!(
                    "{count} times `true`, one after another, on a connection that was opened before. Timed is the call, until the \
                     exit status is known. ssh runs a process for each command, through a control master, and all of the \
                     process is timed."
                ),
                "for each command",
            ),
            Self::Connect => (
                "connect",
                "A new connection and the first command",
                format!(
                    "{count} times a new connection and `true` on it, one after another. Timed is from before the connection \
                     until the exit status; closing it is not. ssh is timed from its start to its end."
                ),
                "for each connection",
            ),
            Self::Stream => (
                "long-output",
                "Long output of one command",
                format!("{count} MiB of zeros from `head -c`, until the last byte."),
                "for each MiB",
            ),
            Self::GuestRun => (
                "guest-run",
                "A guest: a command without a shell session",
                format!(
                    "{count} times `true`, one after another, on an open connection: what `run(..., shell=\"raw\")` of a guest's client \
                     does. Timed is the call, until output and exit status are known."
                ),
                "for each command",
            ),
            Self::GuestBuiltin => (
                "guest-builtin",
                "A guest: a builtin through a shell session",
                format!(
                    "{count} times `:`, one after another. Sternline's go through one shell session, which runs \
                     the likes of `:` and `echo` without a subshell, because they change nothing; the peers run each on a channel of its own. Timed is the call, until output and exit status are known."
                ),
                "for each command",
            ),
            Self::GuestSubshell => (
                "guest-subshell",
                "A guest: a builtin in a subshell of a shell session",
                format!(
                    "{count} times `test -d /`, one after another, Sternline's through one shell session, each in a subshell."
                ),
                "for each command",
            ),
            Self::GuestKept => (
                "guest-kept",
                "A guest: a builtin that the shell session keeps",
                format!(
                    "The same, {count} times, but Sternline's run in the shell itself, which keeps what they do."
                ),
                "for each command",
            ),
            Self::GuestProgram => (
                "guest-program",
                "A guest: a program through a shell session",
                format!(
                    "{count} times `/bin/true`, one after another, Sternline's through one shell session, each in a subshell."
                ),
                "for each command",
            ),
            Self::GuestOutput => (
                "guest-output",
                "A guest: a MiB of output through a shell session",
                format!(
                    "{count} times `head -c 1048576 /dev/zero`, one after another, Sternline's through one shell session. Every byte has to \
                     be there."
                ),
                "for each MiB",
            ),
        };
        Measured {
            name: name.to_owned(),
            title: title.to_owned(),
            timed,
            quantities: vec![
                Quantity::new("time", &format!("time {of}"), "ms"),
                Quantity::new("cpu", &format!("client CPU {of}"), "ms"),
            ],
            rows: Vec::new(),
            wanted: self.wanted(),
            session: Session::default(),
        }
    }

    fn wanted(self) -> Vec<Wanted> {
        const OURS: &str = "sternline, current-thread";
        let better_of = |at_most| {
            ["asyncssh", "paramiko", "paramiko, TCP_NODELAY"]
                .map(|peer| Wanted::share(OURS, "time", peer, at_most))
                .into()
        };
        match self {
            Self::Exec => vec![
                Wanted::share(OURS, "time", "asyncssh", 0.85),
                Wanted::share(OURS, "time", "paramiko", 0.85),
                Wanted::share(OURS, "time", "paramiko, TCP_NODELAY", 0.85),
                Wanted::share(OURS, "time", "ssh", 0.35),
                Wanted::share(OURS, "cpu", "asyncssh", 0.2),
            ],
            Self::Connect => vec![
                Wanted::share(OURS, "time", "asyncssh", 0.4),
                Wanted::share(OURS, "time", "ssh", 0.25),
            ],
            Self::GuestRun => better_of(0.85),
            Self::GuestBuiltin | Self::GuestKept => better_of(0.1),
            Self::GuestProgram => better_of(0.4),
            Self::Stream | Self::GuestSubshell | Self::GuestOutput => Vec::new(),
        }
    }
}
