//! A guest's environment variables.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::guest::{
    LARGEST_FILE, ShellKind, Variables, check_settable, check_variable, parse_file, parse_variables,
    read_script, render_file, script_input, script_line, without_clixml, write_script,
};
use sternline_proto::sftp::StatusCode;
use zeroize::Zeroizing;

use super::client::GuestClient;
use super::command::CommandResult;
use super::received::Kept;
use super::run::invalid;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Command, ExecRequest};
use crate::secret::Secret;
use crate::transfer::{Source, Target, Transfer};

/// How long one step may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Where login shells look for files to read, and what ours are called there. Names that begin with a dot and such
/// that do not end in `.sh` they pass over, so that a file is never read while it is being written.
const DIRECTORY: &str = "/etc/profile.d";
const PLAIN: &str = "sternline-env.sh";
const SECRET: &str = "sternline-env-secret.sh";

/// The value of a variable in a guest.
#[derive(Debug, Clone)]
pub enum EnvValue {
    /// Every user of the guest may read it.
    Plain(String),
    /// Only the account that logs in may.
    Secret(Secret),
}

/// The variables of a guest that were set from here; see [`GuestClient::environment`].
#[derive(Debug)]
pub struct GuestEnvironment<'a> {
    guest: &'a GuestClient,
    directory: String,
}

/// The variables by what may be seen of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Both {
    plain: Variables,
    secret: Variables,
}

impl EnvValue {
    /// The value itself. Keep it no longer than the call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(value) => value,
            Self::Secret(value) => value.expose(),
        }
    }

    /// Whether it is a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }
}

impl From<&str> for EnvValue {
    fn from(value: &str) -> Self {
        Self::Plain(value.to_owned())
    }
}

impl From<String> for EnvValue {
    fn from(value: String) -> Self {
        Self::Plain(value)
    }
}

impl From<Secret> for EnvValue {
    fn from(value: Secret) -> Self {
        Self::Secret(value)
    }
}

impl GuestClient {
    /// The variables that login shells of the guest find in their environment.
    ///
    /// In a POSIX guest they stand in two files of `/etc/profile.d`, which the account that logs in has to be able to
    /// write: `sternline-env.sh`, and `sternline-env-secret.sh` with mode 0600 for what is secret. Login shells of
    /// other users pass over a file that they cannot read. Both are replaced in one step each. Raw commands, and
    /// shells that read no `/etc/profile` (zsh), do not see them. In a Windows guest they are the account's own
    /// (`HKCU\Environment`), seen by connections that are made afterwards, and secrets are kept as all others are.
    ///
    /// A value may hold line ends, quotes and anything else but a NUL byte, and is at most 128 KiB long with its name.
    ///
    /// ```no_run
    /// # async fn example(guest: &sternline::GuestClient) -> sternline::Result<()> {
    /// use sternline::Secret;
    /// use sternline::guest::EnvValue;
    ///
    /// let environment = guest.environment();
    /// environment.inject([("MOTD", "two\nlines")]).await?;
    /// environment.inject([("API_TOKEN", Secret::from("s3cret"))]).await?;
    /// assert_eq!(guest.run("echo \"$MOTD\"").await?.output(), "two\nlines");
    /// environment.remove(["MOTD"]).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn environment(&self) -> GuestEnvironment<'_> {
        GuestEnvironment {
            guest: self,
            directory: DIRECTORY.to_owned(),
        }
    }
}

impl GuestEnvironment<'_> {
    /// Keeps the files of a POSIX guest in this directory, for systems whose login shells look elsewhere.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<String>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Sets variables, beside those that were set before; returns their names in order. Without any it does nothing.
    ///
    /// What another client sets at the same moment may get lost; calls on clones of one client wait for each other.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that is none and a value that cannot be set; then nothing was changed. Else
    /// what went wrong in the guest. A file there that holds anything but variables of ours is an error, and is left
    /// as it is.
    pub async fn inject<N: Into<String>, V: Into<EnvValue>>(
        &self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Vec<String>> {
        let added = self.checked(variables)?;
        if added.is_empty() {
            return Ok(Vec::new());
        }
        let names = added.names();
        let _turn = self.guest.environment_turn().await;
        let connection = self.connection().await?;
        let before = self.read_on(&connection).await?;
        let mut after = before.clone();
        for name in &names {
            after.take(name);
        }
        after.plain.extend(added.plain);
        after.secret.extend(added.secret);
        self.write_on(&connection, &before, &after).await?;
        Ok(names)
    }

    /// Sets variables in place of those that were set before; returns their names in order. Without any it removes all.
    ///
    /// # Errors
    /// As [`inject`](Self::inject); but what stands in the files is not looked at.
    pub async fn replace<N: Into<String>, V: Into<EnvValue>>(
        &self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Vec<String>> {
        let after = self.checked(variables)?;
        let _turn = self.guest.environment_turn().await;
        let connection = self.connection().await?;
        match self.guest.shell_kind() {
            ShellKind::Sh => {
                self.write_file(&connection, SECRET, &after.secret, 0o600).await?;
                self.write_file(&connection, PLAIN, &after.plain, 0o644).await?;
            }
            _ => self.write_windows(&connection, &after).await?,
        }
        Ok(after.names())
    }

    /// Removes variables that were set before, and returns what they were. Names that are not among them are passed
    /// over.
    ///
    /// # Errors
    /// As [`inject`](Self::inject).
    pub async fn remove<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<BTreeMap<String, EnvValue>> {
        let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        let _turn = self.guest.environment_turn().await;
        let connection = self.connection().await?;
        let before = self.read_on(&connection).await?;
        let mut after = before.clone();
        let mut removed = BTreeMap::new();
        for name in names {
            if let Some(value) = after.take(&name) {
                removed.insert(name, value);
            }
        }
        if !removed.is_empty() {
            self.write_on(&connection, &before, &after).await?;
        }
        Ok(removed)
    }

    /// The variables that were set from here.
    ///
    /// # Errors
    /// As [`inject`](Self::inject).
    pub async fn read(&self) -> Result<BTreeMap<String, EnvValue>> {
        let connection = self.connection().await?;
        Ok(self.read_on(&connection).await?.into_values())
    }

    fn checked<N: Into<String>, V: Into<EnvValue>>(
        &self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Both> {
        let both = Both::of(variables)?;
        if self.guest.shell_kind() == ShellKind::Sh {
            for name in both.names() {
                check_settable(&name).map_err(|error| invalid(&error))?;
            }
        }
        Ok(both)
    }

    async fn connection(&self) -> Result<Connection> {
        self.guest.connection(self.guest.settings().connect_timeout).await
    }

    async fn read_on(&self, connection: &Connection) -> Result<Both> {
        match self.guest.shell_kind() {
            ShellKind::Sh => {
                let (plain, secret) = tokio::join!(
                    self.read_file(connection, PLAIN),
                    self.read_file(connection, SECRET)
                );
                Ok(Both {
                    plain: plain?,
                    secret: secret?,
                })
            }
            _ => {
                let answer = self.script(connection, &read_script()).await?;
                let plain = parse_variables(&answer.stdout_text()).map_err(|error| {
                    self.guest.locate(
                        Error::new(ErrorKind::CommandFailed, error.to_string())
                            .with_hint("check that powershell.exe is what it should be there"),
                    )
                })?;
                Ok(Both {
                    plain,
                    secret: Variables::new(),
                })
            }
        }
    }

    async fn write_on(&self, connection: &Connection, before: &Both, after: &Both) -> Result<()> {
        if self.guest.shell_kind() != ShellKind::Sh {
            return self.write_windows(connection, after).await;
        }
        // In this order a variable that becomes secret is never gone in between.
        if before.secret != after.secret {
            self.write_file(connection, SECRET, &after.secret, 0o600).await?;
        }
        if before.plain != after.plain {
            self.write_file(connection, PLAIN, &after.plain, 0o644).await?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory.trim_end_matches('/'))
    }

    async fn read_file(&self, connection: &Connection, name: &str) -> Result<Variables> {
        let path = self.path(name);
        let kept = Kept::default();
        let transfer =
            Transfer::download(path.as_str(), Target::stream(kept.clone())).progress_timeout(LIMIT);
        let received = connection.transfer(transfer).await.success();
        let kept = kept.take();
        let wrong = |what: String| {
            self.guest.locate(
                Error::new(ErrorKind::Invalid, format!("{path} cannot be changed: {what}")).with_hint(
                    "somebody else has written into it: move it away, or set all variables anew with replace()",
                ),
            )
        };
        match received {
            _ if kept.is_too_long => return Err(wrong("it is longer than 2 MiB".to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == &ErrorKind::RemoteFile(StatusCode::NoSuchFile) => {
                return Ok(Variables::new());
            }
            Err(error) => return Err(error),
        }
        let text = std::str::from_utf8(&kept.content).map_err(|_| wrong("it is no UTF-8".to_owned()))?;
        parse_file(text).map_err(|error| wrong(error.to_string()))
    }

    async fn write_file(
        &self,
        connection: &Connection,
        name: &str,
        variables: &Variables,
        mode: u32,
    ) -> Result<()> {
        let text = render_file(variables).map_err(|error| invalid(&error))?;
        if text.len() > LARGEST_FILE {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the variables are longer than 2 MiB: no program could be started with them",
            ));
        }
        // Private until it is complete, and overwritten here once it was sent.
        let content = Bytes::from_owner(Content(text));
        let transfer = Transfer::upload(Source::bytes(name, content), self.path(name))
            .mode(mode)
            .progress_timeout(LIMIT);
        connection.transfer(transfer).await.success()?;
        Ok(())
    }

    async fn write_windows(&self, connection: &Connection, after: &Both) -> Result<()> {
        let mut all = after.plain.clone();
        all.extend(after.secret.clone());
        let script = write_script(&all).map_err(|error| invalid(&error))?;
        self.script(connection, &script).await.map(drop)
    }

    async fn script(&self, connection: &Connection, script: &str) -> Result<CommandResult> {
        let input = Bytes::from_owner(Content(script_input(script)));
        let request = ExecRequest::new(Command::shell(script_line()))
            .stdin(input)
            .timeout(LIMIT);
        let ended = connection.exec(request).await?;
        let said = ended.stderr_text();
        let result = CommandResult {
            exit_code: ended.exit_code(),
            signal: ended.signal().map(str::to_owned),
            stderr: Bytes::from(without_clixml(&said).into_owned()),
            duration: ended.duration,
            stdout: ended.stdout.clone(),
        };
        match result.ok() {
            true => Ok(result),
            false => Err(self
                .guest
                .locate(result.failed("PowerShell's change of variables"))),
        }
    }
}

/// Text that is overwritten once it was sent.
struct Content(Zeroizing<String>);

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Both {
    fn of<N: Into<String>, V: Into<EnvValue>>(variables: impl IntoIterator<Item = (N, V)>) -> Result<Self> {
        let mut both = Self::default();
        for (name, value) in variables {
            let (name, value) = (name.into(), value.into());
            check_variable(&name, value.expose()).map_err(|error| invalid(&error))?;
            // Of two values for one name the later counts.
            both.take(&name);
            let text = Zeroizing::new(value.expose().to_owned());
            match value.is_secret() {
                true => both.secret.insert(name, text),
                false => both.plain.insert(name, text),
            };
        }
        Ok(both)
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.secret.is_empty()
    }

    /// All names, in order.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.plain.keys().chain(self.secret.keys()).cloned().collect();
        names.sort();
        names
    }

    fn take(&mut self, name: &str) -> Option<EnvValue> {
        let secret = self.secret.remove(name);
        let plain = self.plain.remove(name);
        secret
            .map(|value| EnvValue::Secret(Secret::new(value.as_str())))
            .or_else(|| plain.map(|value| EnvValue::Plain(value.as_str().to_owned())))
    }

    fn into_values(mut self) -> BTreeMap<String, EnvValue> {
        self.names()
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.take(&name)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_values_for_a_name_the_later_counts_whatever_it_was_before() {
        let variables: [(&str, EnvValue); 3] = [
            ("B", "x".into()),
            ("A", Secret::from("s").into()),
            ("B", Secret::from("hunter2").into()),
        ];
        let both = Both::of(variables).unwrap();
        assert_eq!(both.names(), ["A", "B"]);
        assert!(both.plain.is_empty());
        let values = both.into_values();
        assert!(values["B"].is_secret());
        assert_eq!(values["B"].expose(), "hunter2");
        assert!(!format!("{values:?}").contains("hunter2"), "{values:?}");
    }

    #[test]
    fn a_name_or_value_that_cannot_be_set_is_refused_before_anything_is_done() {
        for (name, value) in [("A B", "x"), ("A\n", "x"), ("", "x"), ("A", "x\0y")] {
            let error = Both::of([(name, value)]).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid);
        }
    }
}
