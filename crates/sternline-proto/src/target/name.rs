//! Which host and user names are accepted at all.
//!
//! Names end up in other programs' arguments, in files and in messages. OpenSSH refuses a set of characters in both
//! (`valid_hostname` and `valid_ruser`); everything it refuses is refused here, and some more.

use std::net::Ipv6Addr;

use super::error::{NamePart, TargetError};
use crate::text::escape;

/// Characters that a shell obeys, and the separators of lists and paths, refused anywhere in a user name. A backslash
/// is not among them: `DOMAIN\user` is a common account name, and wherever we write a user name into a command line it
/// is quoted.
const REFUSED_IN_USER: &str = "'\"`$;&<>|(){}[]*?,/";

/// Checks a host name or address, without brackets or port.
///
/// Accepted are ASCII letters and digits, `-`, `_`, `.`, `+`, printable characters outside ASCII (the resolver decides
/// about those), and IPv6 literals with an optional zone, such as `fe80::1%eth0`.
///
/// # Errors
/// [`TargetError::Empty`], [`TargetError::LeadingDash`], [`TargetError::ForbiddenCharacter`], or
/// [`TargetError::Ipv6`] for a name with a colon that is no IPv6 literal.
pub fn check_host(host: &str) -> Result<(), TargetError> {
    check_start(NamePart::Host, host)?;
    if host.contains(':') {
        return check_ipv6(host);
    }
    refuse(NamePart::Host, host, |c| {
        if c.is_ascii() {
            !c.is_ascii_alphanumeric() && !"-_.+".contains(c)
        } else {
            is_hidden(c)
        }
    })
}

/// Checks the name of an account, as it is sent to a server or given to `sudo -u`.
///
/// # Errors
/// [`TargetError::Empty`], [`TargetError::LeadingDash`], or [`TargetError::ForbiddenCharacter`] for white space,
/// control characters, shell characters, a leading `~` or `#`, and a trailing backslash.
pub fn check_user(user: &str) -> Result<(), TargetError> {
    check_start(NamePart::User, user)?;
    refuse(NamePart::User, user, |c| {
        REFUSED_IN_USER.contains(c) || is_hidden(c)
    })?;
    // A shell expands `~name` and skips `# words` only at the start of a word.
    let first = user.chars().next().filter(|c| matches!(c, '~' | '#'));
    let last = user.chars().next_back().filter(|&c| c == '\\');
    match first.or(last) {
        Some(character) => Err(TargetError::ForbiddenCharacter {
            part: NamePart::User,
            text: user.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}

fn check_start(part: NamePart, text: &str) -> Result<(), TargetError> {
    if text.is_empty() {
        return Err(TargetError::Empty { part });
    }
    if text.starts_with('-') {
        return Err(TargetError::LeadingDash {
            part,
            text: text.to_owned(),
        });
    }
    Ok(())
}

fn refuse(part: NamePart, text: &str, is_refused: impl Fn(char) -> bool) -> Result<(), TargetError> {
    match text.chars().find(|&c| is_refused(c)) {
        Some(character) => Err(TargetError::ForbiddenCharacter {
            part,
            text: text.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}

/// White space, control characters, and characters that would mislead a reader.
fn is_hidden(c: char) -> bool {
    c.is_whitespace() || (c != '\\' && escape(c.encode_utf8(&mut [0; 4])).starts_with('\\'))
}

fn check_ipv6(text: &str) -> Result<(), TargetError> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let zone_is_a_name = zone.is_none_or(|zone| {
        !zone.is_empty()
            && zone
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    });
    if address.parse::<Ipv6Addr>().is_ok() && zone_is_a_name {
        Ok(())
    } else {
        Err(TargetError::Ipv6 {
            text: text.to_owned(),
        })
    }
}
