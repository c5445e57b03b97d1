//! One target and its written forms.

use std::fmt;
use std::str::FromStr;

use super::error::{NamePart, TargetError};
use super::name::{check_host, check_user};

/// One host to connect to, with the account and the port where they were given.
///
/// What is absent is left to configuration: the current user and port 22 in the end. The names have passed
/// [`check_host`] and [`check_user`], whichever way the value was made.
///
/// As text it is `HOST`, `USER@HOST`, `USER@HOST:PORT`, `USER@[IPV6]:PORT`, a bare IPv6 address without port, or
/// `ssh://USER@HOST:PORT`. The user name ends at the last `@`. [`fmt::Display`] writes the shortest of these that
/// [`FromStr`] reads back to the same value.
///
/// ```
/// use sternline_proto::target::Target;
///
/// let target: Target = "deploy@[fe80::1%eth0]:2222".parse()?;
/// assert_eq!(target.user(), Some("deploy"));
/// assert_eq!(target.host(), "fe80::1%eth0");
/// assert_eq!(target.port(), Some(2222));
/// # Ok::<(), sternline_proto::target::TargetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Target {
    /// A target of which only the host is known: a name, an alias, or an address without brackets.
    ///
    /// # Errors
    /// As for [`check_host`].
    pub fn new(host: impl Into<String>) -> Result<Self, TargetError> {
        let host = host.into();
        check_host(&host)?;
        Ok(Self {
            user: None,
            host,
            port: None,
        })
    }

    /// The same target with this user name.
    ///
    /// # Errors
    /// As for [`check_user`].
    pub fn with_user(self, user: impl Into<String>) -> Result<Self, TargetError> {
        let user = user.into();
        check_user(&user)?;
        Ok(Self {
            user: Some(user),
            ..self
        })
    }

    /// The same target with this port.
    ///
    /// # Errors
    /// [`TargetError::Port`] for port 0.
    pub fn with_port(self, port: u16) -> Result<Self, TargetError> {
        if port == 0 {
            return Err(TargetError::Port {
                text: port.to_string(),
            });
        }
        Ok(Self {
            port: Some(port),
            ..self
        })
    }

    /// The user name, if the target named one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host name, alias or address; an IPv6 address stands without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if the target named one. Never 0.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let parts = Parts::split(text)?;
        if parts.has_range() {
            return Err(TargetError::SeveralHosts {
                text: text.to_owned(),
            });
        }
        parts.target(parts.host)
    }
}

/// A written target taken apart; the host may still hold ranges.
pub(super) struct Parts<'a> {
    user: Option<String>,
    pub(super) host: &'a str,
    port: Option<u16>,
}

impl<'a> Parts<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, TargetError> {
        if let Some(rest) = text.strip_prefix("ssh://") {
            return Self::split_url(rest);
        }
        let (user, host_and_port) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = split_port(host_and_port)?;
        Ok(Self { user, host, port })
    }

    /// Reads what follows `ssh://`, as ssh(1) does: no path, and the user name percent-encoded.
    fn split_url(rest: &'a str) -> Result<Self, TargetError> {
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (user, host_and_port) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, authority),
        };
        let refuse = |problem| TargetError::Url {
            text: format!("ssh://{host_and_port}"),
            problem,
        };
        if host_and_port.contains('/') {
            return Err(refuse("has a path: only ssh://USER@HOST:PORT is accepted"));
        }
        if user.is_some_and(|user| user.contains(':')) {
            return Err(refuse(
                "holds a password: leave it out, it would show up in process lists and logs",
            ));
        }
        let user = match user {
            Some(user) => {
                Some(percent_decode(user).ok_or_else(|| refuse("has a user name with a broken % escape"))?)
            }
            None => None,
        };
        let (host, port) = split_port(host_and_port)?;
        Ok(Self { user, host, port })
    }

    /// Whether the host holds ranges, and so stands for several.
    pub(super) fn has_range(&self) -> bool {
        self.host.contains(['[', ']'])
    }

    /// The target for one of the hosts that these parts stand for.
    pub(super) fn target(&self, host: &str) -> Result<Target, TargetError> {
        if let Some(user) = &self.user {
            check_user(user)?;
        }
        let target = Target::new(host)?;
        Ok(Target {
            user: self.user.clone(),
            port: self.port,
            ..target
        })
    }
}

/// Splits `host:port`, `[ipv6]:port`, or a bare IPv6 address, which has no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), TargetError> {
    let brackets = || TargetError::Brackets {
        text: text.to_owned(),
    };
    // `[` at the start is an IPv6 literal if a colon stands inside the brackets, otherwise a range.
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or_else(brackets)?;
        if inside.contains(':') {
            return match after.strip_prefix(':') {
                Some(port) => Ok((inside, Some(parse_port(port)?))),
                None if after.is_empty() => Ok((inside, None)),
                None => Err(brackets()),
            };
        }
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Ok((text, None)),
        Some((host, port)) => {
            if host.is_empty() {
                return Err(TargetError::Empty { part: NamePart::Host });
            }
            Ok((host, Some(parse_port(port)?)))
        }
        None => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_number && port > 0 => Ok(port),
        _ => Err(TargetError::Port {
            text: text.to_owned(),
        }),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_written_form_is_read() {
        for (text, user, host, port) in [
            ("web", None, "web", None),
            ("web:2222", None, "web", Some(2222)),
            ("alice@web", Some("alice"), "web", None),
            (
                "alice@web.example.com.:22",
                Some("alice"),
                "web.example.com.",
                Some(22),
            ),
            ("first.last@db_1", Some("first.last"), "db_1", None),
            (
                "user@corp.example@bastion",
                Some("user@corp.example"),
                "bastion",
                None,
            ),
            ("CORP\\alice@web", Some("CORP\\alice"), "web", None),
            ("git+deploy@web", Some("git+deploy"), "web", None),
            ("::1", None, "::1", None),
            ("root@::1", Some("root"), "::1", None),
            ("[::1]", None, "::1", None),
            ("[::1]:22", None, "::1", Some(22)),
            ("user@[fe80::1%eth0]:22", Some("user"), "fe80::1%eth0", Some(22)),
            ("192.0.2.7:65535", None, "192.0.2.7", Some(65535)),
            ("bücher.example", None, "bücher.example", None),
            ("ssh://web", None, "web", None),
            ("ssh://alice@web:2222/", Some("alice"), "web", Some(2222)),
            ("ssh://a%40b%2ec@[::1]:1", Some("a@b.c"), "::1", Some(1)),
        ] {
            let target: Target = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(
                (target.user(), target.host(), target.port()),
                (user, host, port),
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_be_misread_is_refused_with_a_precise_error() {
        let empty = |part| TargetError::Empty { part };
        let dash = |part, text: &str| TargetError::LeadingDash {
            part,
            text: text.to_owned(),
        };
        let forbidden = |part, text: &str, character| TargetError::ForbiddenCharacter {
            part,
            text: text.to_owned(),
            character,
        };
        let port = |text: &str| TargetError::Port {
            text: text.to_owned(),
        };
        let ipv6 = |text: &str| TargetError::Ipv6 {
            text: text.to_owned(),
        };
        let brackets = |text: &str| TargetError::Brackets {
            text: text.to_owned(),
        };
        use NamePart::{Host, User};
        for (text, error) in [
            ("", empty(Host)),
            ("alice@", empty(Host)),
            (":22", empty(Host)),
            ("@web", empty(User)),
            ("-oProxyCommand=x", dash(Host, "-oProxyCommand=x")),
            ("alice@-web", dash(Host, "-web")),
            ("-l@web", dash(User, "-l")),
            ("we b", forbidden(Host, "we b", ' ')),
            ("web\n", forbidden(Host, "web\n", '\n')),
            ("web;id", forbidden(Host, "web;id", ';')),
            ("$(id)", forbidden(Host, "$(id)", '$')),
            ("web\\x", forbidden(Host, "web\\x", '\\')),
            ("a,b", forbidden(Host, "a,b", ',')),
            ("..\u{202e}x", forbidden(Host, "..\u{202e}x", '\u{202e}')),
            ("a/b", forbidden(Host, "a/b", '/')),
            ("a'b@web", forbidden(User, "a'b", '\'')),
            ("a b@web", forbidden(User, "a b", ' ')),
            ("a\x1b@web", forbidden(User, "a\x1b", '\x1b')),
            ("a`id`@web", forbidden(User, "a`id`", '`')),
            ("~root@web", forbidden(User, "~root", '~')),
            ("alice\\@web", forbidden(User, "alice\\", '\\')),
            ("web:0", port("0")),
            ("web:65536", port("65536")),
            ("web:", port("")),
            ("web:+22", port("+22")),
            ("web:ssh", port("ssh")),
            ("[::1]:x", port("x")),
            ("a:b:c", ipv6("a:b:c")),
            ("fe80::1%", ipv6("fe80::1%")),
            ("[fe80::1%e;th]", ipv6("fe80::1%e;th")),
            ("[::1", brackets("[::1")),
            ("[::1]22", brackets("[::1]22")),
            (
                "web-[1-3]",
                TargetError::SeveralHosts {
                    text: "web-[1-3]".to_owned(),
                },
            ),
        ] {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let error = "ssh://alice:hunter2@web"
            .parse::<Target>()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("password") && !error.contains("hunter2"),
            "{error}"
        );
        for url in [
            "ssh://web/path",
            "ssh://al%zzice@web",
            "ssh://al%4",
            "ssh://%ff@web",
        ] {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
    }

    #[test]
    fn messages_show_control_characters_escaped() {
        let error = "web\x1b[2J".parse::<Target>().unwrap_err();
        assert!(!error.to_string().contains('\x1b'), "{error}");
    }

    #[test]
    fn values_made_in_parts_obey_the_same_rules() {
        assert!(Target::new("-x").is_err());
        assert!(Target::new("web").unwrap().with_user("a;b").is_err());
        assert!(Target::new("web").unwrap().with_port(0).is_err());
        let target = Target::new("::1")
            .unwrap()
            .with_user("root")
            .unwrap()
            .with_port(22)
            .unwrap();
        assert_eq!(target.to_string(), "root@[::1]:22");
    }

    proptest! {
        #[test]
        fn display_reads_back_to_the_same_target(
            user in proptest::option::of("[a-z_.+@%:!=\\\\-][a-z0-9_.@:~#-]{0,8}"),
            host in prop_oneof!["[a-zA-Z0-9_.+é-]{1,20}", any::<std::net::Ipv6Addr>().prop_map(|a| a.to_string())],
            port in proptest::option::of(1..=u16::MAX),
        ) {
            let made = Target::new(host)
                .and_then(|target| match user { Some(user) => target.with_user(user), None => Ok(target) })
                .and_then(|target| match port { Some(port) => target.with_port(port), None => Ok(target) });
            if let Ok(target) = made {
                prop_assert_eq!(target.to_string().parse::<Target>(), Ok(target));
            }
        }

        #[test]
        fn no_text_at_all_makes_an_unsafe_name(text in any::<String>()) {
            if let Ok(target) = text.parse::<Target>() {
                for name in std::iter::once(target.host()).chain(target.user()) {
                    prop_assert!(!name.starts_with('-') && !name.is_empty());
                    prop_assert!(!name.contains(|c: char| c.is_control() || c.is_whitespace()));
                    let has_shell_character = name.chars().any(|c| "'\"`$;&<>|(){}".contains(c));
                    prop_assert!(!has_shell_character);
                }
            }
        }
    }
}
