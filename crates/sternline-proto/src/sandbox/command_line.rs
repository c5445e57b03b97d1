//! One exec request that runs a command in a sandbox, whatever the account's shell is.
//!
//! A server hands the request to the account's own shell, and shells do not agree on quoting. So the request is a text that is
//! nearly constant and that sh, bash, dash, ksh, zsh, fish, csh and tcsh read alike: no backslash, no `!`, no line break, and
//! nothing of the caller's. Everything else comes on standard input, read by its length and not a byte more:
//!
//! ```text
//! the account's shell      exec /bin/sh
//!   /bin/sh                cuts script and filter off the input; ends with the connection
//!     /bin/sh              reads the script, which says "begin", sets limits, waits, says "end" with bubblewrap's status
//!       setpriv            becomes an unprivileged user; ends with the shell above
//!         timeout          keeps the wall clock on the host
//!           bwrap          reads the filter; ends with what is above
//!             the command  gets the rest of the input, or none
//! ```
//!
//! Each of the indented processes is killed by the kernel when the one above it dies, and a second later the whole process
//! group is ended, for the sake of those that had not come to ask for it. Where there is no setpriv, a loop in the second shell
//! looks once a second whether the connection's process is there, and ends the process group otherwise.

use std::fmt::Write as _;
use std::time::Duration;

use super::argv::bwrap_argv;
use super::error::Refusal;
use super::facts::{HostFacts, ReadExactly, distribution_package};
use super::parts::{Limits, Seccomp};
use super::probe::PROBE;
use super::profile::SandboxProfile;
use super::seccomp::default_filter;
use super::status::Nonce;
use crate::quoting::{QuoteError, join, quote_str};

/// What is sent for one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCommand {
    /// The exec request.
    pub line: Vec<u8>,
    /// What is written to standard input before anything of the caller's. Without input of the caller's, end of file follows.
    pub prefix: Vec<u8>,
}

/// What is sent to run [`PROBE`].
#[must_use]
pub fn probe_command() -> RemoteCommand {
    RemoteCommand {
        line: b"exec /bin/sh".to_vec(),
        prefix: PROBE.as_bytes().to_vec(),
    }
}

/// What is sent to run [`PROBE`] where bubblewrap is said to be at `bwrap`, an absolute path.
///
/// # Errors
/// When the path holds a NUL byte.
pub fn probe_command_with(bwrap: &str) -> Result<RemoteCommand, QuoteError> {
    let mut command = probe_command();
    let said = format!("sternline_bwrap={}\n", quote_str(bwrap)?);
    command.prefix.splice(..0, said.into_bytes());
    Ok(command)
}

/// Composes the exec request that runs `argv` under the profile.
///
/// The command gets what follows the prefix as its standard input if `wants_stdin`, and an empty one otherwise. After
/// `wall_clock` the host itself ends it. `nonce` has to be random, and used for one run only: it marks what
/// [`read_status`](super::read_status) looks for, so that the command cannot write it.
///
/// Run locally, the request belongs into a process group of its own.
///
/// # Errors
/// When the profile does not allow it, or the host cannot do it; see [`Refusal`].
pub fn compose<S: AsRef<str>>(
    profile: &SandboxProfile,
    facts: &HostFacts,
    argv: &[S],
    wall_clock: Duration,
    wants_stdin: bool,
    nonce: &Nonce,
) -> Result<RemoteCommand, Refusal> {
    let bwrap = bwrap_argv(profile, facts, argv)?;
    let filter = filter(profile, facts)?;
    let mut chain = privileges(profile, facts)?;
    chain.extend(timeout(facts, wall_clock));
    // bubblewrap's own `--clearenv` is for the command: process 1 of the sandbox, which is bubblewrap, would still show in
    // /proc/1/environ what it was started with.
    chain.extend(["env".to_owned(), "-i".to_owned()]);
    chain.extend(bwrap);
    let Ok(chain) = join(&chain) else {
        // Every word has been looked at by now, so this is one of the environment's.
        return Err(Refusal::Nul { index: 0 });
    };
    let chain = format!(
        "exec {} {}",
        String::from_utf8_lossy(&chain),
        descriptors(wants_stdin, filter.is_empty())
    );
    let script = script(
        &format!("{}{chain}", timer(facts, wall_clock)),
        profile.limits(),
        nonce,
    );
    let prefix = [script.as_bytes(), &filter].concat();
    Ok(RemoteCommand {
        line: request(facts, script.len(), prefix.len()).into_bytes(),
        prefix,
    })
}

/// What bubblewrap inherits: status on 3, the filter on 9, and nothing else but the command's own. They stand at the command itself,
/// because some shells keep what `exec` alone has opened to themselves.
fn descriptors(wants_stdin: bool, unfiltered: bool) -> &'static str {
    match (wants_stdin, unfiltered) {
        (true, false) => "3>&1 >&5 5>&- <&7 7<&- 9<&9",
        (true, true) => "3>&1 >&5 5>&- <&7 7<&- 9<&-",
        (false, false) => "3>&1 >&5 5>&- </dev/null 7<&- 9<&9",
        (false, true) => "3>&1 >&5 5>&- </dev/null 7<&- 9<&-",
    }
}

fn filter(profile: &SandboxProfile, facts: &HostFacts) -> Result<Vec<u8>, Refusal> {
    match profile.seccomp() {
        Seccomp::DangerOff => Ok(Vec::new()),
        Seccomp::Default => default_filter(&facts.arch).ok_or_else(|| Refusal::NoFilter {
            arch: facts.arch.as_str().to_owned(),
        }),
        Seccomp::File {
            program: Some(program),
            ..
        } => Ok(program.clone()),
        Seccomp::File { path, program: None } => Err(Refusal::FilterNotLoaded {
            path: path.display().to_string(),
        }),
    }
}

/// The text that all shells read alike.
fn request(facts: &HostFacts, script: usize, prefix: usize) -> String {
    let read = |bytes: usize| match facts.tools.read_exactly {
        ReadExactly::Head => format!("head -c {bytes}"),
        ReadExactly::Dd => format!("dd bs=1 count={bytes} 2>/dev/null"),
    };
    // The inner shell's text is the outer one's $0: so no quotes stand inside quotes of the same kind.
    let inner = format!("'eval \"$({})\"'", read(script));
    let prefix = read(prefix);
    match &facts.tools.setpriv {
        Some(setpriv) => format!(
            "exec {setpriv} --pdeathsig KILL /bin/sh -c 'exec 8<&0; {prefix} | {setpriv} --pdeathsig KILL /bin/sh -c \
             \"$0\" 7<&8 8<&-' {inner}"
        ),
        // Descriptors are closed by `exec`: what stands at a loop some shells only put aside, and would hold on to.
        None => format!(
            "exec /bin/sh -c 'exec 8<&0; (exec </dev/null >/dev/null 2>/dev/null 8<&-; while sleep 1; do [ -d /proc/$$ ] || \
             exit; [ -d /proc/$PPID ] || kill -15 0; done) & {prefix} | /bin/sh -c \"$0\" 7<&8 8<&-' {inner}"
        ),
    }
}

/// What runs the sandbox and tells of it.
fn script(chain: &str, limits: &Limits, nonce: &Nonce) -> String {
    let mark = nonce.mark();
    let mut text =
        format!("exec 5>&1 9<&0\nprintf '\\n%s begin\\n' {mark}\nprintf '\\n%s begin\\n' {mark} >&2\n");
    // A limit that is already lower is as good, and one that cannot be set at all is the end.
    text.push_str(
        "l() {\n  ulimit $1 $2 2>/dev/null || [ \"$(ulimit -H $1)\" -le $2 ] 2>/dev/null || {\n    \
         echo \"sternline: the limit $1 $2 cannot be set\" >&2; exit 125; }\n}\n",
    );
    text.push_str(BEHIND);
    // What sh calls the number of processes.
    text.push_str("case $(ulimit -u 2>/dev/null) in [0-9u]*) n=-u ;; *) n=-p ;; esac\n");
    text.push_str(WATCH);
    let _ = writeln!(
        text,
        "s=$({{ (l -c 0; l -t {}; l $n {}",
        limits.cpu_seconds, limits.processes
    );
    let _ = writeln!(
        text,
        "l -v {}; l -f {}",
        limits.memory_bytes.div_ceil(1024),
        limits.file_size_bytes.div_ceil(512)
    );
    let _ = writeln!(text, "{chain}); echo \"status $?\"; }} | behind)");
    text.push_str("r=${s##*status }\ncase $r in '' | *[!0-9]*) r=137 ;; esac\n");
    let _ = writeln!(
        text,
        "printf '\\n%s end %s %s\\n' {mark} \"$r\" \"$s\" >&2\nkill -9 $w 2>/dev/null\nexit \"$r\""
    );
    text
}

/// Reads what bubblewrap tells, hands it on, and kills the first process in the sandbox where bubblewrap was killed before it could
/// tell how that one ended. For that process asks to be killed with bubblewrap only when everything is mounted, and then it is in
/// no process group of ours any more: whoever kills us all meanwhile would set it free. So nothing but a KILL ends this.
const BEHIND: &str = "behind() {\n  trap '' TERM HUP INT; p=\n  while read -r x; do\n    printf '%s\\n' \"$x\"\n    case $x in\n      \
                      *'\"exit-code\"'*) p= ;;\n      *'\"child-pid\": '*) p=${x#*'\"child-pid\": '}; p=${p%%[!0-9]*} ;;\n    \
                      esac\n  done\n  [ -z \"$p\" ] || kill -9 \"$p\" 2>/dev/null\n}\n";

/// Ends whatever is left of the process group, a second after the shell that started it was killed: what asks to be killed with its
/// parent has been asking only from some moment on. What bubblewrap has only just cloned does not hear a TERM. A zombie counts as
/// killed, for not everything that is process 1 looks after those.
///
/// The group is named by the first shell, which leads it under sshd. Dropbear has one group for a connection and all its commands,
/// so there is none of that name there, and nobody else's command is ended. (The loop in [`request`] may end such a group: its
/// connection is gone.)
const WATCH: &str = "(exec </dev/null >/dev/null 2>/dev/null 5>&- 7<&- 9<&-\nwhile sleep 1 && read -r x </proc/$$/stat && case \
                     $x in *') Z '*) false ;; esac; do :; done; trap '' TERM; kill -15 -$PPID; sleep 1; kill -9 -$PPID) &\nw=$!\n";

/// Ends with the shell above, and without root's rights.
fn privileges(profile: &SandboxProfile, facts: &HostFacts) -> Result<Vec<String>, Refusal> {
    let ending = |setpriv: &String| vec![setpriv.clone(), "--pdeathsig".to_owned(), "KILL".to_owned()];
    if facts.uid != 0 {
        if let Some(user) = profile.user()
            && user != facts.user
            && user.split(':').next() != Some(facts.uid.to_string().as_str())
        {
            return Err(Refusal::CannotBecome {
                user: user.to_owned(),
            });
        }
        return Ok(facts.tools.setpriv.as_ref().map(ending).unwrap_or_default());
    }
    let Some(setpriv) = &facts.tools.setpriv else {
        return Err(Refusal::Missing {
            what: "setpriv of util-linux".to_owned(),
            purpose: "become an unprivileged user before the sandbox is made",
            hint: format!(
                "log in as an unprivileged user, or {}; busybox's setpriv cannot do it",
                distribution_package(&facts.os, "util-linux")
            ),
        });
    };
    let (uid, gid) = whom(profile.user(), facts)?;
    let mut words = vec![
        setpriv.clone(),
        "--reuid".to_owned(),
        uid.to_string(),
        "--regid".to_owned(),
        gid.to_string(),
    ];
    let groups: Vec<String> = profile
        .groups()
        .iter()
        .filter_map(|group| facts.groups.get(group))
        .filter(|gid| **gid != 0)
        .map(u32::to_string)
        .collect();
    match groups.is_empty() {
        true => words.push("--clear-groups".to_owned()),
        false => words.extend(["--groups".to_owned(), groups.join(",")]),
    }
    // A setuid bubblewrap has to get what it is setuid for.
    if !facts.bwrap_setuid {
        words.push("--no-new-privs".to_owned());
    }
    words.extend(ending(setpriv).into_iter().skip(1));
    Ok(words)
}

/// The uid and gid of an unprivileged user.
fn whom(user: Option<&str>, facts: &HostFacts) -> Result<(u32, u32), Refusal> {
    let name = user.unwrap_or("nobody");
    let numbers = || {
        let (uid, gid) = name.split_once(':')?;
        Some((uid.parse().ok()?, gid.parse().ok()?))
    };
    let (uid, gid) = match (facts.users.get(name).copied().or_else(numbers), user) {
        (Some(ids), _) => ids,
        (None, None) => (65534, 65534),
        (None, Some(_)) => {
            return Err(Refusal::NoSuchUser {
                user: name.to_owned(),
            });
        }
    };
    // The highest number stands for "no change".
    if uid == 0 || gid == 0 || uid == u32::MAX || gid == u32::MAX {
        return Err(Refusal::RootUser {
            user: name.to_owned(),
        });
    }
    Ok((uid, gid))
}

/// What keeps the wall clock in front of bubblewrap.
fn timeout(facts: &HostFacts, wall_clock: Duration) -> Vec<String> {
    let seconds = format!("{:.3}", wall_clock.as_secs_f64().max(0.001));
    let words = |timeout: &String| {
        [timeout, "--foreground", "-k", "1", &seconds]
            .map(str::to_owned)
            .to_vec()
    };
    facts.tools.timeout.as_ref().map(words).unwrap_or_default()
}

/// What keeps the wall clock where there is no timeout of GNU: a loop beside the process that becomes bubblewrap. It has
/// none of its files, so nothing waits for it, and it ends a second after bubblewrap at the latest.
fn timer(facts: &HostFacts, wall_clock: Duration) -> String {
    if facts.tools.timeout.is_some() {
        return String::new();
    }
    let seconds = wall_clock.as_secs() + u64::from(wall_clock.subsec_nanos() > 0);
    format!(
        "p=$(exec /bin/sh -c 'echo $PPID')\n(exec </dev/null >/dev/null 2>/dev/null 5>&- 7<&- 9<&-\nt={}\nwhile sleep 1; \
         do kill -0 $p || exit; t=$((t - 1)); [ $t -gt 0 ] || {{ kill $p; exit; }}; done) &\n",
        seconds.max(1)
    )
}
