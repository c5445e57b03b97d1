//! What a sandbox lets a program have.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ProfileError;
use super::parts::{ArgumentRule, Bind, Limits, Seccomp, Tmpfs};
use super::rules::check_pattern;
use super::{bundled, path, read, seccomp};

/// What a sandbox lets a program have. Checked once, and never changed afterwards.
///
/// ```
/// use sternline_proto::sandbox::SandboxProfile;
///
/// let profile = SandboxProfile::builder("test").allow_command("echo").build()?;
/// assert_eq!(profile.allowed_commands(), ["echo"]);
/// // A profile that names no binds gets those of `minimal`.
/// assert_eq!(profile.binds(), SandboxProfile::bundled("minimal")?.binds());
/// # Ok::<(), sternline_proto::sandbox::ProfileError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxProfile {
    pub(super) fields: SandboxProfileBuilder,
    pub(super) extras: Extras,
}

/// What the additional arguments of bubblewrap say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Extras {
    pub(super) hostname: Option<String>,
    pub(super) chdir: Option<String>,
    pub(super) directories: Vec<String>,
    /// What is in the link, and where it is.
    pub(super) symlinks: Vec<(String, String)>,
}

/// Puts a [`SandboxProfile`] together. Nothing is checked before [`SandboxProfileBuilder::build`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxProfileBuilder {
    name: String,
    allowed_commands: Vec<String>,
    allow_any_command: bool,
    argument_rules: Vec<ArgumentRule>,
    binds: Vec<Bind>,
    tmpfs: Vec<Tmpfs>,
    environment: BTreeMap<String, String>,
    network_isolation: bool,
    seccomp: Seccomp,
    limits: Limits,
    user: Option<String>,
    groups: Vec<String>,
    additional_args: Vec<String>,
}

impl SandboxProfile {
    /// Starts a profile of this name, which allows no command yet.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> SandboxProfileBuilder {
        SandboxProfileBuilder {
            name: name.into(),
            allowed_commands: Vec::new(),
            allow_any_command: false,
            argument_rules: Vec::new(),
            binds: Vec::new(),
            tmpfs: Vec::new(),
            environment: BTreeMap::new(),
            network_isolation: true,
            seccomp: Seccomp::Default,
            limits: Limits::default(),
            user: None,
            groups: Vec::new(),
            additional_args: Vec::new(),
        }
    }

    /// Reads a profile from JSON. `base_dir` is the directory of the file that it comes from: a relative
    /// `seccomp_profile`, a file of this machine, starts there.
    ///
    /// # Errors
    /// When it is no JSON, has a key that there is not, or says what is refused.
    pub fn from_json(text: &str, base_dir: Option<&Path>) -> Result<Self, ProfileError> {
        read::from_json(text, base_dir)
    }

    /// Reads a profile from TOML, with the same keys. See [`SandboxProfile::from_json`].
    ///
    /// # Errors
    /// When it is no TOML, has a key that there is not, or says what is refused.
    pub fn from_toml(text: &str, base_dir: Option<&Path>) -> Result<Self, ProfileError> {
        read::from_toml(text, base_dir)
    }

    /// One of the profiles in [`BUNDLED`](super::BUNDLED).
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn bundled(name: &str) -> Result<Self, ProfileError> {
        bundled::profile(name)
    }

    /// The profile with the filter that its [`Seccomp::File`] names.
    ///
    /// # Errors
    /// When this is no compiled filter: its length is not a whole number of instructions, or too many.
    pub fn with_seccomp_program(mut self, bytes: Vec<u8>) -> Result<Self, ProfileError> {
        seccomp::check_program(&bytes).map_err(|reason| ProfileError::field("seccomp_profile", reason))?;
        if let Seccomp::File { program, .. } = &mut self.fields.seccomp {
            *program = Some(bytes);
        }
        Ok(self)
    }

    /// Begins another profile that says the same.
    #[must_use]
    pub fn to_builder(&self) -> SandboxProfileBuilder {
        self.fields.clone()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.fields.name
    }

    /// The patterns of commands that may be run.
    #[must_use]
    pub fn allowed_commands(&self) -> &[String] {
        &self.fields.allowed_commands
    }

    /// Whether every command may be run.
    #[must_use]
    pub fn allows_any_command(&self) -> bool {
        self.fields.allow_any_command
    }

    /// What the arguments of some commands may be.
    #[must_use]
    pub fn argument_rules(&self) -> &[ArgumentRule] {
        &self.fields.argument_rules
    }

    /// What of the host is visible.
    #[must_use]
    pub fn binds(&self) -> &[Bind] {
        &self.fields.binds
    }

    /// The empty directories in memory.
    #[must_use]
    pub fn tmpfs(&self) -> &[Tmpfs] {
        &self.fields.tmpfs
    }

    /// The environment: there is nothing else in it but `PATH`, if none is given, and `PWD`.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.fields.environment
    }

    /// Whether there is no network but a loopback interface of its own.
    #[must_use]
    pub fn network_isolation(&self) -> bool {
        self.fields.network_isolation
    }

    /// Which system calls are refused.
    #[must_use]
    pub fn seccomp(&self) -> &Seccomp {
        &self.fields.seccomp
    }

    /// How much a run may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.fields.limits
    }

    /// Whom a login as root becomes first. Default: `nobody`.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.fields.user.as_deref()
    }

    /// The groups that a login as root keeps beside that user's own, as far as the host has them.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.fields.groups
    }

    /// Arguments of bubblewrap's own.
    #[must_use]
    pub fn additional_args(&self) -> &[String] {
        &self.fields.additional_args
    }

    /// Where programs without a directory are looked for.
    pub(super) fn path(&self) -> &str {
        self.fields
            .environment
            .get("PATH")
            .map_or(DEFAULT_PATH, String::as_str)
    }
}

/// Where programs are looked for if the profile's environment does not say.
pub(super) const DEFAULT_PATH: &str = "/usr/bin:/bin";

impl SandboxProfileBuilder {
    /// Allows a command: a bare name, which is looked up in the sandbox's `PATH`, or an absolute path. `*`, `?` and `[...]`
    /// stand for anything but a slash. Just this spelling is allowed: `ls` does not allow `/bin/ls`.
    #[must_use]
    pub fn allow_command(mut self, pattern: impl Into<String>) -> Self {
        self.allowed_commands.push(pattern.into());
        self
    }

    /// Allows several commands.
    #[must_use]
    pub fn allow_commands<I>(mut self, patterns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.allowed_commands.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Allows every command that is visible.
    #[must_use]
    pub fn allow_any_command(mut self, allow: bool) -> Self {
        self.allow_any_command = allow;
        self
    }

    /// Adds a rule about arguments.
    #[must_use]
    pub fn argument_rule(mut self, rule: ArgumentRule) -> Self {
        self.argument_rules.push(rule);
        self
    }

    /// Drops the rules about arguments.
    #[must_use]
    pub fn without_argument_rules(mut self) -> Self {
        self.argument_rules.clear();
        self
    }

    /// Makes something of the host visible. Without any, the binds of `minimal` are.
    #[must_use]
    pub fn bind(mut self, bind: Bind) -> Self {
        self.binds.push(bind);
        self
    }

    /// Adds an empty directory in memory.
    #[must_use]
    pub fn tmpfs(mut self, tmpfs: Tmpfs) -> Self {
        self.tmpfs.push(tmpfs);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Whether the sandbox has no network but a loopback interface of its own. Default: yes. Without it, everything that
    /// listens on the host's loopback, and its abstract sockets, can be reached.
    #[must_use]
    pub fn network_isolation(mut self, isolate: bool) -> Self {
        self.network_isolation = isolate;
        self
    }

    /// Which system calls are refused.
    #[must_use]
    pub fn seccomp(mut self, seccomp: Seccomp) -> Self {
        self.seccomp = seccomp;
        self
    }

    /// How much a run may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whom a login as root becomes first: a name, or a uid and gid as `65534:65534`. Other logins stay who they are, and
    /// have to be this user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Adds a group that a login as root keeps, if the host has it.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Adds arguments for bubblewrap: `--hostname NAME`, `--chdir DIR`, `--dir DIR` and `--symlink TEXT PATH`. What is always
    /// done, such as `--new-session`, is taken and changes nothing. Everything else is refused.
    #[must_use]
    pub fn additional_args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.additional_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Checks it.
    ///
    /// # Errors
    /// What is wrong with the first field that is.
    pub fn build(mut self) -> Result<SandboxProfile, ProfileError> {
        if self.name.trim().is_empty() {
            return Err(ProfileError::field("name", "must be a non-empty string"));
        }
        self.check_commands()?;
        self.check_mounts()?;
        for (name, value) in &self.environment {
            if name.is_empty() {
                return Err(ProfileError::field(
                    "environment",
                    "keys must be non-empty strings",
                ));
            }
            if name.contains(['=', '\0']) || value.contains('\0') {
                let reason = "names must not hold = and neither names nor values a NUL";
                return Err(ProfileError::field(format!("environment.{name}"), reason));
            }
        }
        self.check_limits()?;
        if let Some(user) = &self.user
            && !is_account(user)
        {
            return Err(ProfileError::field(
                "user",
                "must be a user's name, or a uid and gid as 1000:1000",
            ));
        }
        for (index, group) in self.groups.iter().enumerate() {
            if !is_account(group) {
                return Err(ProfileError::field(
                    format!("groups[{index}]"),
                    "must be a group's name",
                ));
            }
        }
        let extras = extras(&self.additional_args)?;
        Ok(SandboxProfile { fields: self, extras })
    }

    fn check_commands(&self) -> Result<(), ProfileError> {
        if self.allowed_commands.is_empty() && !self.allow_any_command {
            let reason = "must name at least one command; set allow_any_command to true to allow every one";
            return Err(ProfileError::field("allowed_commands", reason));
        }
        for (index, pattern) in self.allowed_commands.iter().enumerate() {
            check_pattern(pattern)
                .map_err(|reason| ProfileError::field(format!("allowed_commands[{index}]"), reason))?;
        }
        for (index, rule) in self.argument_rules.iter().enumerate() {
            let field = |name: &str| format!("argument_rules[{index}].{name}");
            check_pattern(&rule.command).map_err(|reason| ProfileError::field(field("command"), reason))?;
            if rule.allow.is_empty() && rule.deny.is_empty() {
                return Err(ProfileError::field(
                    field("deny"),
                    "must name something, or allow must",
                ));
            }
        }
        Ok(())
    }

    fn check_mounts(&mut self) -> Result<(), ProfileError> {
        if self.binds.is_empty() {
            self.binds = bundled::minimal_binds()?;
        }
        for (index, bind) in self.binds.iter_mut().enumerate() {
            let field = |name: &str| format!("binds[{index}].{name}");
            bind.source = path::normal(&bind.source)
                .map_err(|reason| ProfileError::field(field("source"), on_the_host(reason)))?;
            bind.target =
                path::normal(&bind.target).map_err(|reason| ProfileError::field(field("target"), reason))?;
            own_mount(&bind.target).map_err(|reason| ProfileError::field(field("target"), reason))?;
            if path::below(&bind.source, "/proc").is_some() {
                let reason =
                    "must not be in /proc, which shows all processes of the host; the sandbox has its own";
                return Err(ProfileError::field(field("source"), reason));
            }
            let everything = ["/", "/dev", "/sys"];
            if !bind.read_only
                && everything
                    .iter()
                    .any(|top| bind.source == *top || bind.target == *top)
            {
                return Err(ProfileError::field(
                    field("read_only"),
                    "must be true for /, /dev and /sys",
                ));
            }
        }
        for (index, tmpfs) in self.tmpfs.iter_mut().enumerate() {
            let field = || format!("tmpfs_paths[{index}]");
            tmpfs.path = path::normal(&tmpfs.path).map_err(|reason| ProfileError::field(field(), reason))?;
            own_mount(&tmpfs.path).map_err(|reason| ProfileError::field(field(), reason))?;
            if tmpfs.path == "/" {
                return Err(ProfileError::field(
                    field(),
                    "must not be /, which is read-only in every sandbox",
                ));
            }
            if tmpfs.size_bytes == 0 {
                return Err(ProfileError::field(field(), "size must be at least 1"));
            }
        }
        let mut targets: Vec<&str> = self.binds.iter().map(Bind::target).collect();
        targets.extend(self.tmpfs.iter().map(Tmpfs::path));
        targets.sort_unstable();
        match targets.windows(2).find(|pair| pair.first() == pair.last()) {
            Some([twice, ..]) => Err(ProfileError::field(
                "binds",
                format!("two things are mounted on {twice}"),
            )),
            _ => Ok(()),
        }
    }

    fn check_limits(&self) -> Result<(), ProfileError> {
        let limits = &self.limits;
        for (name, value) in [
            ("cpu_seconds", limits.cpu_seconds),
            ("memory_bytes", limits.memory_bytes),
            ("processes", limits.processes),
            ("file_size_bytes", limits.file_size_bytes),
            ("wall_clock_seconds", limits.wall_clock_seconds),
            ("output_bytes", limits.output_bytes),
        ] {
            // Signed in some shells, and in TOML.
            if value == 0 || i64::try_from(value).is_err() {
                return Err(ProfileError::field(
                    format!("limits.{name}"),
                    "must be at least 1, and below 2^63",
                ));
            }
        }
        Ok(())
    }
}

fn on_the_host(reason: String) -> String {
    match reason.starts_with("must be absolute") {
        true => format!("{reason}; it is a path on the host, not beside the profile's file"),
        false => reason,
    }
}

/// What every sandbox has of its own cannot be mounted over.
fn own_mount(target: &str) -> Result<(), String> {
    for own in ["/proc", "/dev"] {
        if path::below(target, own).is_some() {
            return Err(format!("must not be in {own}: every sandbox has one of its own"));
        }
    }
    Ok(())
}

/// A name as in passwd(5), or numbers: nothing that a command could take for an option.
fn is_account(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    !name.is_empty() && name.len() <= 64 && !name.starts_with('-') && name.chars().all(plain)
}

/// Options that every sandbox has anyway.
const ALWAYS: [&str; 9] = [
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--disable-userns",
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-cgroup",
];

fn extras(args: &[String]) -> Result<Extras, ProfileError> {
    let mut extras = Extras::default();
    let mut words = args.iter().enumerate();
    while let Some((index, option)) = words.next() {
        let field = format!("additional_args[{index}]");
        let mut value = |what: &str| {
            let next = words
                .next()
                .map(|(_, word)| word.clone())
                .filter(|word| !word.contains('\0'));
            next.filter(|word| !word.is_empty())
                .ok_or_else(|| ProfileError::field(field.clone(), format!("{option} needs {what}")))
        };
        let path = |text: String| {
            let whole = path::normal(&text).and_then(|whole| own_mount(&whole).map(|()| whole));
            whole.map_err(|reason| ProfileError::field(field.clone(), reason))
        };
        match option.as_str() {
            "" => return Err(ProfileError::field(field, "must be a non-empty string")),
            "--hostname" => extras.hostname = Some(value("a name")?),
            "--chdir" => extras.chdir = Some(path(value("a directory")?)?),
            "--dir" => extras.directories.push(path(value("a directory")?)?),
            "--symlink" => {
                let text = value("the text of a link")?;
                extras.symlinks.push((text, path(value("a path")?)?));
            }
            option if ALWAYS.contains(&option) => {}
            option => {
                let reason = format!(
                    "{option} is not taken: it could undo the sandbox; {}",
                    instead(option)
                );
                return Err(ProfileError::field(field, reason));
            }
        }
    }
    Ok(extras)
}

/// How a profile says what an option would.
fn instead(option: &str) -> &'static str {
    match option {
        "--bind" | "--bind-try" | "--ro-bind" | "--ro-bind-try" => "use binds",
        "--tmpfs" | "--size" => "use tmpfs_paths",
        "--setenv" | "--unsetenv" => "use environment",
        "--share-net" | "--unshare-net" | "--unshare-all" => "use network_isolation",
        "--seccomp" | "--add-seccomp-fd" => "use seccomp_profile",
        _ => "there are --hostname, --chdir, --dir and --symlink",
    }
}
