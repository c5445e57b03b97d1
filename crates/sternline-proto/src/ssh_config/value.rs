//! The values of single options. Each function answers with what would have been accepted when the value is not.

use std::time::Duration;

use super::options::{AddressFamily, IdentityAgent, StrictHostKeyChecking};

pub(super) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("write yes or no"),
    }
}

pub(super) fn strict_host_key_checking(text: &str) -> Result<StrictHostKeyChecking, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(StrictHostKeyChecking::Yes),
        "accept-new" => Ok(StrictHostKeyChecking::AcceptNew),
        "ask" => Ok(StrictHostKeyChecking::Ask),
        "no" | "false" | "off" => Ok(StrictHostKeyChecking::Off),
        _ => Err("write yes, accept-new, ask or no"),
    }
}

pub(super) fn port(text: &str) -> Result<u16, &'static str> {
    let expected = "write a number from 1 to 65535";
    number(text)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port > 0)
        .ok_or(expected)
}

pub(super) fn count(text: &str) -> Result<u32, &'static str> {
    number(text)
        .and_then(|count| u32::try_from(count).ok())
        .filter(|&count| count <= MOST)
        .ok_or("write a whole number")
}

/// The largest number that ssh keeps, in a C `int`.
const MOST: u32 = 0x7fff_ffff;

/// A time as in the section TIME FORMATS of sshd_config(5): `90`, `90s`, `1m30s`, up to weeks. `none` is no value.
pub(super) fn time(text: &str) -> Result<Option<Duration>, &'static str> {
    if text == "none" {
        return Ok(None);
    }
    let expected = "write a time such as 30, 90s or 1m30s";
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, after) = match after.chars().next() {
            None => (1, after),
            Some(letter) => {
                let unit = match letter.to_ascii_lowercase() {
                    's' => 1,
                    'm' => 60,
                    'h' => 60 * 60,
                    'd' => 24 * 60 * 60,
                    'w' => 7 * 24 * 60 * 60,
                    _ => return Err(expected),
                };
                (unit, after.get(1..).unwrap_or_default())
            }
        };
        let seconds = number(digits).and_then(|n| n.checked_mul(unit)).ok_or(expected)?;
        total = total
            .checked_add(seconds)
            .filter(|&total| total <= u64::from(MOST))
            .ok_or(expected)?;
        rest = after;
    }
    if text.is_empty() {
        Err(expected)
    } else {
        Ok(Some(Duration::from_secs(total)))
    }
}

/// `none`, `SSH_AUTH_SOCK`, `$NAME`, or a path that is still to be expanded.
pub(super) fn identity_agent(text: &str) -> Result<IdentityAgent, &'static str> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(IdentityAgent::Disabled);
    }
    match text.strip_prefix('$') {
        Some(name) if !name.starts_with('{') => {
            let is_name = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            match is_name {
                true => Ok(IdentityAgent::Variable(name.to_owned())),
                false => Err("write $NAME for a variable that names the socket, or ${NAME} within a path"),
            }
        }
        _ if text == "SSH_AUTH_SOCK" => Ok(IdentityAgent::Variable(text.to_owned())),
        _ => Ok(IdentityAgent::Socket(text.to_owned())),
    }
}

pub(super) fn address_family(text: &str) -> Result<AddressFamily, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "any" => Ok(AddressFamily::Any),
        "inet" => Ok(AddressFamily::Inet),
        "inet6" => Ok(AddressFamily::Inet6),
        _ => Err("write any, inet or inet6"),
    }
}

/// How a signature is bound to the host changes nothing for us: nobody has our agent forwarded.
pub(super) fn pubkey_authentication(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "unbound" | "host-bound" => Ok(true),
        _ => boolean(text),
    }
}

fn number(digits: &str) -> Option<u64> {
    // `parse` would take a sign as well.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sums_of_numbers_with_units() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("1m30s", 90),
            ("1H", 3600),
            ("1h2h", 10800),
            ("1w1d", 691_200),
            ("5m3", 303),
        ] {
            assert_eq!(time(text), Ok(Some(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(time("none"), Ok(None));
        for text in [
            "",
            "x",
            "5x",
            "-1",
            "+1",
            "1.5",
            "s",
            "1 s",
            "99999999999",
            "2147483648",
            "1ß",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_take_no_sign_and_have_bounds() {
        assert_eq!(port("022"), Ok(22));
        for text in ["", "0", "65536", "+1", "-1", "0x16", "ssh", "22#c"] {
            assert!(port(text).is_err(), "{text}");
        }
        assert_eq!(count("0"), Ok(0));
        assert!(count("-1").is_err() && count("2147483648").is_err());
    }
}
