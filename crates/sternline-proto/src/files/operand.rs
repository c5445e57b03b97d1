//! What scp's operands name: files here, files on hosts, or a stream.

use thiserror::Error;

use crate::target::{TargetError, TargetList, parse_targets};
use crate::text::escape_bytes;

/// Whose paths the local ones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `/` separates, and nothing else is special.
    Posix,
    /// `\` separates as well, and a letter with a colon is a drive.
    Windows,
}

impl Naming {
    /// Those of the machine that this runs on.
    pub const HERE: Self = if cfg!(windows) { Self::Windows } else { Self::Posix };
}

/// One end of a copy, as scp(1) writes it.
///
/// ```
/// use sternline_proto::files::{Naming, Operand};
///
/// let Operand::Remote { hosts, path } = Operand::parse(b"bob@web-[1-3]:/var/log/app.log", Naming::Posix)? else {
///     unreachable!()
/// };
/// assert_eq!(hosts.targets.len(), 3);
/// assert_eq!(path, b"/var/log/app.log");
/// assert_eq!(Operand::parse(b"./a:b", Naming::Posix)?, Operand::Local(b"./a:b".to_vec()));
/// # Ok::<(), sternline_proto::files::OperandError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A path on this machine.
    Local(Vec<u8>),
    /// `-`: standard input as a source, standard output as a target.
    Stream,
    /// A path on one host or on several.
    Remote {
        /// The hosts, at least one.
        hosts: TargetList,
        /// The path as written. Empty is the home directory, and what does not begin with `/` lies in it.
        path: Vec<u8>,
    },
}

impl Operand {
    /// Reads an operand: `[HOSTS:]PATH`, `scp://[USER@]HOST[:PORT][/PATH]`, or `-`.
    ///
    /// As in OpenSSH, an operand is on a host if a colon stands in it before any slash and not at its start; a local
    /// file with such a name is written `./a:b`. HOSTS is `[USER@]HOST` or a list of those with ranges, as
    /// [`parse_targets`] reads it; IPv6 addresses stand in brackets, and a colon inside brackets ends nothing. A port
    /// can only stand in a URI, because the first colon ends the hosts. The path of a URI is percent-encoded and lies
    /// in the home directory; `scp://host//etc` is `/etc`.
    ///
    /// With [`Naming::Windows`] a single letter before the colon is a drive, and a backslash is a slash.
    ///
    /// # Errors
    /// [`OperandError`] for what is neither; the hint in it says how a local file of that name is written.
    pub fn parse(text: &[u8], naming: Naming) -> Result<Self, OperandError> {
        let refuse = |problem| OperandError {
            operand: text.to_owned(),
            problem,
        };
        if text.is_empty() {
            return Err(refuse(OperandProblem::Empty));
        }
        if text.contains(&0) {
            return Err(refuse(OperandProblem::Nul));
        }
        if text == b"-" {
            return Ok(Self::Stream);
        }
        if let Some(rest) = text.strip_prefix(b"scp://") {
            return Self::parse_uri(rest).map_err(refuse);
        }
        let Some((hosts, path)) = split_at_colon(text, naming) else {
            return Ok(Self::Local(text.to_owned()));
        };
        Ok(Self::Remote {
            hosts: parse_hosts(hosts, "").map_err(refuse)?,
            path: path.to_owned(),
        })
    }

    /// The hosts as written and the path, if the operand is on hosts and no URI: for whoever reads hosts by rules of its own.
    #[must_use]
    pub fn split(text: &[u8], naming: Naming) -> Option<(&str, &[u8])> {
        if text.starts_with(b"scp://") || text.contains(&0) {
            return None;
        }
        let (hosts, path) = split_at_colon(text, naming)?;
        Some((str::from_utf8(hosts).ok()?, path))
    }

    /// Reads what follows `scp://`.
    fn parse_uri(rest: &[u8]) -> Result<Self, OperandProblem> {
        let slash = rest.iter().position(|byte| *byte == b'/');
        let (authority, path) = match slash.and_then(|at| rest.split_at_checked(at)) {
            Some((authority, path)) => (authority, path.get(1..).unwrap_or_default()),
            None => (rest, &[][..]),
        };
        Ok(Self::Remote {
            // User names in URIs are percent-encoded, and passwords have no place in them: the rules of ssh://.
            hosts: parse_hosts(authority, "ssh://")?,
            path: percent_decode(path).ok_or(OperandProblem::Percent)?,
        })
    }
}

/// Why a text is no operand.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} {problem}", named(.operand))]
pub struct OperandError {
    /// The operand as given.
    pub operand: Vec<u8>,
    /// What is wrong with it.
    pub problem: OperandProblem,
}

fn named(operand: &[u8]) -> String {
    match operand {
        b"" => "an operand".to_owned(),
        _ => format!("the operand {}", escape_bytes(operand)),
    }
}

/// What is wrong with an operand.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OperandProblem {
    /// Nothing at all.
    #[error("is empty: write a path, or . for this directory")]
    Empty,
    /// A NUL byte, which no path holds.
    #[error("holds a NUL byte, which no path can hold")]
    Nul,
    /// What stands before the colon is no host.
    #[error(
        "names no host before its colon: {0}; for a local file with a colon in its name, write ./ in front of it"
    )]
    Host(TargetError),
    /// What stands before the colon is not UTF-8, and so no host.
    #[error(
        "names no host before its colon, which is not even text; for a local file, write ./ in front of it"
    )]
    HostBytes,
    /// A broken escape in the path of a URI.
    #[error("has a broken % escape in its path: write %25 for a percent sign")]
    Percent,
}

/// The hosts and the path of an operand on a host: OpenSSH's `colon()`, with brackets that hold lists as well.
fn split_at_colon(text: &[u8], naming: Naming) -> Option<(&[u8], &[u8])> {
    let is_windows = naming == Naming::Windows;
    let mut in_brackets = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'[' => in_brackets = true,
            b']' => in_brackets = false,
            b'/' => return None,
            b'\\' if is_windows => return None,
            b':' if !in_brackets => {
                let (hosts, path) = text.split_at_checked(at)?;
                let is_drive = is_windows && matches!(hosts, [letter] if letter.is_ascii_alphabetic());
                let is_local = hosts.is_empty() || is_drive;
                return if is_local {
                    None
                } else {
                    Some((hosts, path.get(1..)?))
                };
            }
            _ => {}
        }
    }
    None
}

fn parse_hosts(hosts: &[u8], scheme: &str) -> Result<TargetList, OperandProblem> {
    let hosts = str::from_utf8(hosts).map_err(|_| OperandProblem::HostBytes)?;
    parse_targets(&format!("{scheme}{hosts}")).map_err(OperandProblem::Host)
}

/// The bytes that a percent-encoded path stands for; nothing for a broken escape, or one for NUL.
fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = text.iter();
    let mut out = Vec::with_capacity(text.len());
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    while let Some(byte) = bytes.next() {
        if *byte == b'%' {
            let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
            out.push(u8::try_from(value).ok().filter(|byte| *byte != 0)?);
        } else {
            out.push(*byte);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(operand: &Operand) -> String {
        match operand {
            Operand::Local(path) => format!("local {}", escape_bytes(path)),
            Operand::Stream => "stream".to_owned(),
            Operand::Remote { hosts, path } => {
                let hosts: Vec<String> = hosts.targets.iter().map(ToString::to_string).collect();
                format!("{} {}", hosts.join(","), escape_bytes(path))
            }
        }
    }

    #[test]
    fn operands_are_read_as_openssh_reads_them_and_lists_as_well() {
        for (text, expected) in [
            ("file", "local file"),
            ("-", "stream"),
            ("./-", "local ./-"),
            ("-x", "local -x"),
            ("host:path", "host path"),
            ("host:/path", "host /path"),
            ("host:", "host "),
            ("user@host:p", "user@host p"),
            ("a@b@c:x", "a@b@c x"),
            ("h:a:b", "h a:b"),
            ("h:~/x y", "h ~/x y"),
            ("h:-x", "h -x"),
            ("h:-", "h -"),
            ("2222:x", "2222 x"),
            ("host:2222:x", "host 2222:x"),
            (":x", "local :x"),
            ("a/b:c", "local a/b:c"),
            ("./a:b", "local ./a:b"),
            ("/a:b", "local /a:b"),
            ("[::1]:x", "::1 x"),
            ("u@[fe80::1%eth0]:x", "u@fe80::1%eth0 x"),
            ("[a:b", "local [a:b"),
            ("[::1]", "local [::1]"),
            ("[1]:x", "1 x"),
            // Lists and ranges.
            ("a,b:/x", "a,b /x"),
            ("bob@web-[1-3]:/x", "bob@web-1,bob@web-2,bob@web-3 /x"),
            ("web-[1-2,7],db:/x", "web-1,web-2,web-7,db /x"),
            ("[::1],a:/x", "::1,a /x"),
            ("a,[::1]:x", "a,::1 x"),
            ("a,a:x", "a x"),
            // URIs.
            ("scp://h", "h "),
            ("scp://h/", "h "),
            ("scp://u@h:2222/p/q", "u@h:2222 p/q"),
            ("scp://h//abs", "h /abs"),
            ("scp://h/a%20b%ff", "h a b\\xff"),
            ("scp://u%40x@h/x", "u@x@h x"),
            ("scp://[::1]:22/x", "[::1]:22 x"),
            ("scp://web-[1-2]:22/x", "web-1:22,web-2:22 x"),
            ("scp://h/a:b", "h a:b"),
            ("scp:x", "scp x"),
            ("scp:/h/x", "scp /h/x"),
            ("ssh://h/x", "ssh //h/x"),
            ("C:\\x", "C \\\\x"),
            ("c:/x", "c /x"),
        ] {
            let operand =
                Operand::parse(text.as_bytes(), Naming::Posix).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(shown(&operand), expected, "{text}");
        }
    }

    #[test]
    fn drives_are_local_on_windows_only() {
        for (text, expected) in [
            ("C:\\x", "local C:\\\\x"),
            ("c:x", "local c:x"),
            ("c:", "local c:"),
            ("ab:x", "ab x"),
            ("1:x", "1 x"),
            ("dir\\a:b", "local dir\\\\a:b"),
            ("hh:a\\b", "hh a\\\\b"),
        ] {
            let operand =
                Operand::parse(text.as_bytes(), Naming::Windows).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(shown(&operand), expected, "{text}");
        }
    }

    #[test]
    fn paths_are_bytes() {
        let parse = |text: &[u8]| Operand::parse(text, Naming::Posix);
        assert_eq!(parse(b"\xff"), Ok(Operand::Local(b"\xff".to_vec())));
        let Ok(Operand::Remote { path, .. }) = parse(b"h:\xff\n") else {
            panic!()
        };
        assert_eq!(path, b"\xff\n");
        assert_eq!(parse(b"\xff:x").unwrap_err().problem, OperandProblem::HostBytes);
    }

    #[test]
    fn what_is_no_operand_is_refused_with_the_text_and_what_to_write() {
        for (text, words) in [
            ("", "is empty"),
            ("a\0", "holds a NUL byte"),
            (
                "a b:c",
                "the operand a b:c names no host before its colon: the host name a b holds the character ' '",
            ),
            ("a b:c", "write ./ in front of it"),
            ("-oProxyCommand=x:y", "begins with a dash"),
            ("@h:x", "the user name is empty"),
            ("u@:x", "the host name is empty"),
            ("a]b:c", "brackets"),
            ("[x]:y", "the range [x]"),
            ("a,,b:x", "the host name is empty"),
            ("scp://", "the host name is empty"),
            ("scp:///x", "the host name is empty"),
            ("scp://u:hunter2@h/x", "holds a password"),
            ("scp://h/%zz", "broken % escape"),
            ("scp://h/%0", "broken % escape"),
            ("scp://h/%00", "broken % escape"),
            ("scp://h:0/x", "the port 0"),
            ("\x1b[2J\x1b]:x", "the operand \\x1b[2J\\x1b]:x names no host"),
        ] {
            let error = Operand::parse(text.as_bytes(), Naming::Posix)
                .expect_err(text)
                .to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_path_behind_a_dot_and_a_slash_is_always_local(path in proptest::collection::vec(1_u8.., 0..20)) {
            let text = [b"./", &path[..]].concat();
            for naming in [Naming::Posix, Naming::Windows] {
                prop_assert_eq!(Operand::parse(&text, naming), Ok(Operand::Local(text.clone())));
            }
        }

        #[test]
        fn a_path_behind_a_host_is_kept_byte_by_byte(path in proptest::collection::vec(1_u8.., 0..20)) {
            let text = [b"host:", &path[..]].concat();
            let Ok(Operand::Remote { hosts, path: found }) = Operand::parse(&text, Naming::Posix) else {
                return Err(TestCaseError::fail("remote"));
            };
            prop_assert_eq!(hosts.targets[0].host(), "host");
            prop_assert_eq!(found, path);
        }

        #[test]
        fn no_bytes_at_all_make_it_panic_or_name_no_host(
            text in prop_oneof![any::<Vec<u8>>(), "(scp://)?[a1@:/,%\\[\\]-]{0,16}".prop_map(String::into_bytes)],
        ) {
            match Operand::parse(&text, Naming::Posix) {
                Ok(Operand::Remote { hosts, path }) => {
                    prop_assert!(!hosts.targets.is_empty() && !path.contains(&0));
                }
                Ok(_) => {}
                Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
            }
        }
    }
}
