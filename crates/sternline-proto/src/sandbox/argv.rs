//! The argument vector of bubblewrap.

use super::error::Refusal;
use super::facts::HostFacts;
use super::mounts::{Mount, Mounts, has_program, plan, search_path};
use super::parts::{Bind, Seccomp};
use super::profile::{DEFAULT_PATH, SandboxProfile};
use super::rules::check_allowed;

/// The length from which on Linux refuses one argument, less the byte that ends it.
pub(super) const MAX_WORD_BYTES: usize = 128 * 1024 - 1;

/// How long all arguments may be together, so that they are passed on for certain: half of what Linux takes by default.
pub(super) const MAX_ARGV_BYTES: usize = 1024 * 1024;

/// The descriptor on which bubblewrap says how the command ended.
pub(super) const STATUS_FD: &str = "3";

/// The descriptor from which bubblewrap reads the seccomp filter.
pub(super) const FILTER_FD: &str = "9";

/// The argument vector that runs `argv` under the profile on this host, with bubblewrap's own path in front. It is always
/// the same for the same input.
///
/// All namespaces are the sandbox's own, the network's unless the profile shares it. No capability is left, no user
/// namespace can be made inside, the environment has only what the profile says, `/` and `/proc` are read-only, and
/// everything ends with bubblewrap's parent. Status goes to descriptor 3, the filter is read from 9.
///
/// # Errors
/// When the profile does not allow it, or the host cannot do it; see [`Refusal`].
pub fn bwrap_argv<S: AsRef<str>>(
    profile: &SandboxProfile,
    facts: &HostFacts,
    argv: &[S],
) -> Result<Vec<String>, Refusal> {
    check_allowed(profile, argv)?;
    check_host(profile, facts)?;
    let mounts = plan(profile, facts);
    let program = argv.first().map(AsRef::as_ref).unwrap_or_default();
    if has_program(&mounts, profile, facts, program) == Some(false) {
        return Err(no_such_program(profile, facts, program));
    }
    let mut line = Line(vec![facts.bwrap.clone()]);
    line.add(&["--die-with-parent", "--new-session"]);
    line.add(&[
        "--unshare-user",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-uts",
    ]);
    line.add(&["--unshare-cgroup-try"]);
    if profile.network_isolation() {
        line.add(&["--unshare-net"]);
    }
    if facts.takes("--disable-userns") {
        line.add(&["--disable-userns"]);
    }
    line.add(&["--cap-drop", "ALL"]);
    environment(&mut line, profile, facts);
    file_system(&mut line, &mounts, facts);
    let extras = &profile.extras;
    if let Some(name) = &extras.hostname {
        line.add(&["--hostname", name]);
    }
    line.add(&["--chdir", extras.chdir.as_deref().unwrap_or("/")]);
    line.add(&["--json-status-fd", STATUS_FD]);
    if *profile.seccomp() != Seccomp::DangerOff {
        line.add(&["--seccomp", FILTER_FD]);
    }
    line.add(&["--"]);
    let Line(mut line) = line;
    line.extend(argv.iter().map(|word| word.as_ref().to_owned()));
    check_length(&line, argv.len())?;
    Ok(line)
}

struct Line(Vec<String>);

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }
}

fn environment(line: &mut Line, profile: &SandboxProfile, facts: &HostFacts) {
    // Where it is missing, `env -i` in front of bubblewrap is enough; with both, this line alone is a safe one as well.
    if facts.takes("--clearenv") {
        line.add(&["--clearenv"]);
    }
    if !profile.environment().contains_key("PATH") {
        line.add(&["--setenv", "PATH", DEFAULT_PATH]);
    }
    for (name, value) in profile.environment() {
        line.add(&["--setenv", name, value]);
    }
}

fn file_system(line: &mut Line, mounts: &Mounts, facts: &HostFacts) {
    let tmpfs = |line: &mut Line, path: &str, bytes: u64| {
        if facts.takes("--size") {
            line.add(&["--size", &bytes.to_string()]);
        }
        line.add(&["--tmpfs", path]);
    };
    for mount in &mounts.list {
        match mount {
            Mount::Bind(bind) => line.add(&[bind_option(bind), &bind.source, &bind.target]),
            Mount::Tmpfs(one) => tmpfs(line, &one.path, one.size_bytes),
            Mount::Directory(path) => line.add(&["--dir", path]),
            Mount::Link(text, path) => line.add(&["--symlink", text, path]),
        }
    }
    for path in &mounts.sealed {
        line.add(&["--remount-ro", path]);
    }
    line.add(&["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]);
    // bubblewrap makes both in one file system without a bound.
    tmpfs(line, "/dev/shm", SHARED_MEMORY_BYTES);
    line.add(&["--remount-ro", "/dev", "--remount-ro", "/"]);
}

/// How much POSIX shared memory there is.
const SHARED_MEMORY_BYTES: u64 = 16 << 20;

fn bind_option(bind: &Bind) -> &'static str {
    match (bind.read_only, bind.optional) {
        (true, false) => "--ro-bind",
        (true, true) => "--ro-bind-try",
        (false, false) => "--bind",
        (false, true) => "--bind-try",
    }
}

/// What this profile needs of the host, apart from what the probe has asked for.
fn check_host(profile: &SandboxProfile, facts: &HostFacts) -> Result<(), Refusal> {
    // The default filter refuses nested namespaces as well. Of another one that is not known.
    if !facts.takes("--disable-userns") && *profile.seccomp() != Seccomp::Default {
        return Err(Refusal::Missing {
            what: "bwrap --disable-userns".to_owned(),
            purpose: "forbid nested user namespaces without the default seccomp filter",
            hint: "use the default filter, or bubblewrap 0.8 or newer that is not setuid".to_owned(),
        });
    }
    Ok(())
}

fn no_such_program(profile: &SandboxProfile, facts: &HostFacts, program: &str) -> Refusal {
    let searched = match program.rsplit_once('/') {
        Some((directory, _)) => vec![directory.to_owned()],
        None => search_path(profile, facts),
    };
    Refusal::NoSuchProgram {
        command: program.to_owned(),
        searched,
    }
}

/// Whether Linux passes all of this on. Only the caller's own words can be too long one by one: `theirs` at the end.
fn check_length(line: &[String], theirs: usize) -> Result<(), Refusal> {
    let before = line.len() - theirs;
    for (index, word) in line.iter().enumerate() {
        if word.len() > MAX_WORD_BYTES {
            return Err(Refusal::WordTooLong {
                index: index.saturating_sub(before),
                bytes: word.len(),
            });
        }
    }
    // Each word is ended by a byte, and has a pointer to it.
    let bytes = line.iter().map(|word| word.len() + 9).sum();
    match bytes > MAX_ARGV_BYTES {
        true => Err(Refusal::TooLong { bytes }),
        false => Ok(()),
    }
}
