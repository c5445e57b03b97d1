//! A file of configuration, taken apart once for any number of hosts.

use std::sync::Arc;
use std::time::Duration;

use super::algorithms::AlgorithmList;
use super::criteria::Criteria;
use super::error::Problem;
use super::form::check;
use super::keyword::{Keyword, lookup};
use super::lexer;
use super::options::{AddressFamily, IdentityAgent, StrictHostKeyChecking};
use super::proxy::is_jump;
use super::unsupported::{canonical, is_known, without};
use super::value;

pub(super) use super::unsupported::Without;

/// A configuration file that was taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    path: Arc<str>,
    lines: Vec<Line>,
}

impl ConfigFile {
    /// Takes a file apart. What is wrong with a line is told when a host is looked up. `path` is its name for messages.
    #[must_use]
    pub fn parse(path: &str, text: &str) -> Self {
        let lines = text.split('\n').enumerate();
        Self {
            path: path.into(),
            lines: lines
                .filter_map(|(index, line)| Line::parse(line, index + 1))
                .collect(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// The first word as written.
    pub(super) keyword: String,
    /// What it says. What is wrong with it counts wherever it stands, as for ssh.
    pub(super) says: Result<Statement, Problem>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// Patterns for the host as it was named.
    Host(Vec<String>),
    Match(Criteria),
    /// Patterns of paths.
    Include(Vec<String>),
    Set(Setting),
    Unsupported(Unsupported),
    /// A word that ssh does not know, in lower case.
    Unknown(String),
}

/// An option that is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported {
    /// The name under which it is decided about.
    pub(super) canonical: String,
    /// As written, without quotes.
    pub(super) value: String,
    pub(super) without: Without,
}

/// An option with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    IgnoreUnknown(String),
    HostName(String),
    User(String),
    Port(u16),
    AddressFamily(AddressFamily),
    BindAddress(String),
    ProxyJump(String),
    ProxyCommand(String),
    IdentityFile(String),
    CertificateFile(String),
    IdentitiesOnly(bool),
    IdentityAgent(IdentityAgent),
    PubkeyAuthentication(bool),
    PasswordAuthentication(bool),
    KbdInteractiveAuthentication(bool),
    PreferredAuthentications(Vec<String>),
    NumberOfPasswordPrompts(u32),
    UserKnownHostsFile(Vec<String>),
    GlobalKnownHostsFile(Vec<String>),
    RevokedHostKeys(String),
    HostKeyAlias(String),
    HashKnownHosts(bool),
    StrictHostKeyChecking(StrictHostKeyChecking),
    BatchMode(bool),
    KexAlgorithms(AlgorithmList),
    HostKeyAlgorithms(AlgorithmList),
    Ciphers(AlgorithmList),
    Macs(AlgorithmList),
    /// `none` is no value: ssh lets a later line set one.
    ConnectTimeout(Option<Duration>),
    ServerAliveInterval(Option<Duration>),
    ServerAliveCountMax(u32),
}

impl Line {
    /// Takes a line apart. `None` for a blank one or a comment.
    pub(super) fn parse(line: &str, number: usize) -> Option<Self> {
        let (keyword, says) = match lexer::split(line) {
            Ok(None) => return None,
            Ok(Some(line)) => (line.keyword.clone(), statement(line)),
            Err(_) => (String::new(), Err(Problem::Quote)),
        };
        Some(Self {
            number,
            keyword,
            says,
        })
    }
}

fn statement(line: lexer::Line<'_>) -> Result<Statement, Problem> {
    let lexer::Line {
        keyword,
        values,
        text,
    } = line;
    let word = keyword.to_ascii_lowercase();
    let Some(known) = lookup(&word) else {
        if !is_known(&word) {
            return Ok(Statement::Unknown(word));
        }
        check(&word, &keyword, &values)?;
        let canonical = canonical(&word);
        return Ok(Statement::Unsupported(Unsupported {
            without: without(canonical, &values),
            value: values.join(" "),
            canonical: canonical.to_owned(),
        }));
    };
    if known == Keyword::ProxyCommand && !text.is_empty() {
        return Ok(Statement::Set(Setting::ProxyCommand(text.to_owned())));
    }
    if values.is_empty() || values.iter().any(String::is_empty) {
        return Err(Problem::NoValue { keyword });
    }
    match known {
        Keyword::Host => Ok(Statement::Host(values)),
        Keyword::Match => Criteria::parse(text).map(Statement::Match),
        Keyword::Include => Ok(Statement::Include(values)),
        Keyword::UserKnownHostsFile => files(keyword, values)
            .map(Setting::UserKnownHostsFile)
            .map(Statement::Set),
        Keyword::GlobalKnownHostsFile => files(keyword, values)
            .map(Setting::GlobalKnownHostsFile)
            .map(Statement::Set),
        single => match <[String; 1]>::try_from(values) {
            Ok([value]) => match setting(single, &value) {
                Ok(setting) => Ok(Statement::Set(setting)),
                Err(expected) => Err(Problem::Value {
                    keyword,
                    value,
                    expected,
                }),
            },
            Err(_) => Err(Problem::ExtraValue { keyword }),
        },
    }
}

/// A list of files; `none` stands for no file, and alone.
fn files(keyword: String, values: Vec<String>) -> Result<Vec<String>, Problem> {
    match values.iter().find(|value| value.eq_ignore_ascii_case("none")) {
        Some(value) if values.len() > 1 => Err(Problem::Value {
            keyword,
            value: value.clone(),
            expected: "none has to stand alone",
        }),
        Some(_) => Ok(Vec::new()),
        None => Ok(values),
    }
}

/// An option with one value. The error says what would have been accepted.
fn setting(option: Keyword, text: &str) -> Result<Setting, &'static str> {
    let owned = || text.to_owned();
    let list = || {
        AlgorithmList::parse(text)
            .ok_or("write names with commas, and +, - or ^ in front to change the default")
    };
    Ok(match option {
        Keyword::IgnoreUnknown => Setting::IgnoreUnknown(text.to_ascii_lowercase()),
        Keyword::HostName => Setting::HostName(owned()),
        Keyword::User => Setting::User(owned()),
        Keyword::Port => Setting::Port(value::port(text)?),
        Keyword::AddressFamily => Setting::AddressFamily(value::address_family(text)?),
        Keyword::BindAddress => Setting::BindAddress(owned()),
        Keyword::ProxyJump if is_jump(text) => Setting::ProxyJump(owned()),
        Keyword::ProxyJump => return Err("write [user@]host[:port], several with commas, or none"),
        Keyword::IdentityFile => Setting::IdentityFile(owned()),
        Keyword::CertificateFile => Setting::CertificateFile(owned()),
        Keyword::IdentitiesOnly => Setting::IdentitiesOnly(value::boolean(text)?),
        Keyword::IdentityAgent => Setting::IdentityAgent(value::identity_agent(text)?),
        Keyword::PubkeyAuthentication => Setting::PubkeyAuthentication(value::pubkey_authentication(text)?),
        Keyword::PasswordAuthentication => Setting::PasswordAuthentication(value::boolean(text)?),
        Keyword::KbdInteractiveAuthentication => Setting::KbdInteractiveAuthentication(value::boolean(text)?),
        Keyword::PreferredAuthentications => {
            Setting::PreferredAuthentications(text.split(',').map(str::to_owned).collect())
        }
        Keyword::NumberOfPasswordPrompts => Setting::NumberOfPasswordPrompts(value::count(text)?),
        Keyword::RevokedHostKeys => Setting::RevokedHostKeys(owned()),
        Keyword::HostKeyAlias => Setting::HostKeyAlias(text.to_ascii_lowercase()),
        Keyword::HashKnownHosts => Setting::HashKnownHosts(value::boolean(text)?),
        Keyword::StrictHostKeyChecking => {
            Setting::StrictHostKeyChecking(value::strict_host_key_checking(text)?)
        }
        Keyword::BatchMode => Setting::BatchMode(value::boolean(text)?),
        Keyword::KexAlgorithms => Setting::KexAlgorithms(list()?),
        Keyword::HostKeyAlgorithms => Setting::HostKeyAlgorithms(list()?),
        Keyword::Ciphers => Setting::Ciphers(list()?),
        Keyword::Macs => Setting::Macs(list()?),
        Keyword::ConnectTimeout => Setting::ConnectTimeout(value::time(text)?),
        Keyword::ServerAliveInterval => Setting::ServerAliveInterval(value::time(text)?),
        Keyword::ServerAliveCountMax => Setting::ServerAliveCountMax(value::count(text)?),
        // Dealt with before: they take several values.
        Keyword::Host
        | Keyword::Match
        | Keyword::Include
        | Keyword::ProxyCommand
        | Keyword::UserKnownHostsFile
        | Keyword::GlobalKnownHostsFile => return Err("write it otherwise"),
    })
}
