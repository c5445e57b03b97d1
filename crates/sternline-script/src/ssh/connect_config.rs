//! `ssh_config=` of `ssh.config`: what OpenSSH's files say about a host.

use std::path::Path;

use sternline::config::SshConfig;
use sternline::config::paths::system_known_hosts_path;
use sternline::connection::Configured;
use sternline::proto::ssh_config::{Options, Source};
use sternline::proto::target::Target;
use sternline::proto::text::escape;

use super::settings::ConfigFiles;
use crate::session::Session;

/// The files, read once for all hosts.
pub(super) struct Files(SshConfig);

impl Files {
    /// Blocks while it reads.
    pub(super) fn read(which: &ConfigFiles, session: &Session) -> anyhow::Result<Option<Self>> {
        let config = match which {
            ConfigFiles::None => return Ok(None),
            ConfigFiles::Usual => SshConfig::load(session.env()),
            ConfigFiles::This(path) => {
                let path = super::permit::read(session, "ssh_config", path)?;
                no_includes(&path, session)?;
                SshConfig::load_file(session.env(), &path)
            }
        };
        let config = config.map_err(|error| anyhow::anyhow!("ssh.config: ssh_config: {error}"))?;
        Ok(Some(Self(config)))
    }

    /// What they say about a host, and what it comes to.
    pub(super) fn resolve(
        &self,
        target: &Target,
        user: Option<&str>,
        port: Option<u16>,
        session: &Session,
    ) -> anyhow::Result<(Options, Configured)> {
        let wrong = |error: &dyn std::fmt::Display| anyhow::anyhow!("ssh.config: ssh_config: {error}");
        let found = self
            .0
            .resolve(target.host(), user, port, &[])
            .map_err(|error| wrong(&error))?;
        for ignored in &found.ignored {
            if let Some(instead) = ignored.value.instead
                && !is_of_system(&ignored.source, session)
            {
                session.warn_once(&format!(
                    "note: {} {} ({}) is not obeyed: {instead}",
                    escape(&ignored.value.keyword),
                    escape(&ignored.value.value),
                    ignored.source
                ));
            }
        }
        let configured = Configured::of(&found).map_err(|error| wrong(&error))?;
        Ok((found, configured))
    }
}

/// Where rules apply, a file that the script has named includes no other one: nobody would ask whether it may be read.
fn no_includes(path: &Path, session: &Session) -> anyhow::Result<()> {
    if session.guard().allows_all() {
        return Ok(());
    }
    let bytes = std::fs::read(path).unwrap_or_default();
    let includes = |line: &str| {
        let word = line.trim_start().trim_start_matches('"');
        word.get(..7)
            .is_some_and(|word| word.eq_ignore_ascii_case("include"))
    };
    match String::from_utf8_lossy(&bytes).lines().any(includes) {
        true => Err(anyhow::anyhow!(
            "ssh.config: ssh_config: permission denied: {} has an Include, which is not followed where rules apply",
            escape(&path.to_string_lossy())
        )),
        false => Ok(()),
    }
}

/// Whether the system's own file says it: that is no choice of this user, and of no script.
fn is_of_system(source: &Source, session: &Session) -> bool {
    let known_hosts = system_known_hosts_path(session.env());
    match source {
        Source::File { path, .. } => known_hosts
            .parent()
            .is_some_and(|folder| Path::new(&**path).starts_with(folder)),
        Source::CommandLine => false,
    }
}
