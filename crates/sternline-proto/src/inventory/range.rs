//! Host names in Ansible's inventories: `web[01:50:2]`, `db-[a:f]`, `host:2222`, `[::1]:22`.

use super::error::Problem;
use crate::target::MAX_TARGETS;

/// The letters that a range may run through, in Ansible's order.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The names that a pattern stands for, and the port that it gives to all of them.
pub(super) fn expand(pattern: &str) -> Result<(Vec<String>, Option<u16>), Problem> {
    let (names, port) = split_port(pattern);
    let mut found = Vec::new();
    let refuse = |reason| Problem::Range {
        pattern: pattern.to_owned(),
        reason,
    };
    write_out(names, &refuse, &mut found)?;
    Ok((found, port))
}

/// `name:22` and `[name]:22`. A bare IPv6 address has no port.
fn split_port(pattern: &str) -> (&str, Option<u16>) {
    let Some((name, digits)) = pattern.rsplit_once(':') else {
        return (pattern, None);
    };
    let port = digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse::<u16>().ok());
    let Some(port) = port.flatten().filter(|port| *port > 0) else {
        return (pattern, None);
    };
    // A range such as [1:3] holds colons too.
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bare {
        Some(address) if address.contains("::") || address.matches(':').count() > 2 => (address, Some(port)),
        Some(name) if !name.contains([':', '[', ']']) => (name, Some(port)),
        _ if without_brackets(name).contains(':') => (pattern, None),
        _ if name.matches('[').count() != name.matches(']').count() => (pattern, None),
        _ => (name, Some(port)),
    }
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|c| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

/// Writes out the first range, then those that follow it.
fn write_out(
    pattern: &str,
    refuse: &impl Fn(&'static str) -> Problem,
    found: &mut Vec<String>,
) -> Result<(), Problem> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((head, after)) = rest.split_once('[') {
        let (bounds, tail) = after.split_once(']').ok_or_else(|| refuse("is not closed"))?;
        let values = values(bounds, refuse)?;
        if names.len().saturating_mul(values.len()) > MAX_TARGETS {
            return Err(Problem::TooMuch {
                limit: MAX_TARGETS,
                what: "hosts",
            });
        }
        names = names
            .iter()
            .flat_map(|name| values.iter().map(move |value| format!("{name}{head}{value}")))
            .collect();
        rest = tail;
    }
    found.extend(names.into_iter().map(|name| name + rest));
    Ok(())
}

fn values(bounds: &str, refuse: &impl Fn(&'static str) -> Problem) -> Result<Vec<String>, Problem> {
    let bounds: Vec<&str> = bounds.split(':').collect();
    let (begin, end, step) = match bounds.as_slice() {
        [begin, end] => (*begin, *end, "1"),
        [begin, end, step] => (*begin, *end, *step),
        _ => return Err(refuse("has to be [BEGIN:END] or [BEGIN:END:STEP]")),
    };
    if end.is_empty() {
        return Err(refuse("has no end"));
    }
    let begin = if begin.is_empty() { "0" } else { begin };
    let width = match begin.starts_with('0') && begin.len() > 1 {
        true if begin.len() != end.len() => {
            return Err(refuse("has to have an end with as many digits as its begin"));
        }
        true => begin.len(),
        false => 1,
    };
    let step: usize = step
        .parse()
        .ok()
        .filter(|step| *step > 0)
        .ok_or_else(|| refuse("has a step that is no number from 1 on"))?;
    let letter = |text: &str| match text.len() {
        1 => LETTERS.find(text),
        _ => None,
    };
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        let letters = LETTERS
            .get(first..=last)
            .ok_or_else(|| refuse("runs backwards"))?;
        return Ok(letters.chars().step_by(step).map(String::from).collect());
    }
    let number = |text: &str| {
        let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (Some(first), Some(last)) = (number(begin), number(end)) else {
        return Err(refuse("is neither of numbers nor of single letters"));
    };
    if first > last {
        return Err(refuse("runs backwards"));
    }
    if (last - first) / u64::try_from(step).unwrap_or(u64::MAX) >= MAX_TARGETS as u64 {
        return Err(Problem::TooMuch {
            limit: MAX_TARGETS,
            what: "hosts",
        });
    }
    let numbers = (first..=last).step_by(step);
    Ok(numbers.map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_and_ports_are_those_of_ansible() {
        for (pattern, names, port) in [
            ("web", "web", None),
            ("web:2222", "web", Some(2222)),
            ("web[1:3]", "web1 web2 web3", None),
            (
                "web[01:03].example.com:22",
                "web01.example.com web02.example.com web03.example.com",
                Some(22),
            ),
            ("web[01:10:4]", "web01 web05 web09", None),
            ("db-[a:c]", "db-a db-b db-c", None),
            ("db-[y:B]", "db-y db-z db-A db-B", None),
            ("r[1:2]n[a:b]", "r1na r1nb r2na r2nb", None),
            ("n[:2]", "n0 n1 n2", None),
            ("n[8:11]", "n8 n9 n10 n11", None),
            ("127.0.0.[1:2]:2200", "127.0.0.1 127.0.0.2", Some(2200)),
            ("::1", "::1", None),
            ("fe80::1", "fe80::1", None),
            ("[2001:db8::1]:22", "2001:db8::1", Some(22)),
            ("[web]:22", "web", Some(22)),
            ("web:ssh", "web:ssh", None),
            ("web:0", "web:0", None),
        ] {
            let (found, found_port) = expand(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!((found.join(" ").as_str(), found_port), (names, port), "{pattern}");
        }
    }

    #[test]
    fn ranges_that_make_no_sense_say_why() {
        for (pattern, words) in [
            ("web[1-3]", "has to be [BEGIN:END]"),
            ("web[1:", "is not closed"),
            ("web[1:]", "has no end"),
            ("web[01:100]", "as many digits"),
            ("web[3:1]", "runs backwards"),
            ("web[c:a]", "runs backwards"),
            ("web[1:3:0]", "step"),
            ("web[1:3:x]", "step"),
            ("web[1:b]", "neither of numbers"),
            ("web[1:2:3:4]", "has to be [BEGIN:END]"),
            ("web[0:100000]", "at most 100000 hosts"),
            ("web[1:1000][1:1000]", "at most 100000 hosts"),
            ("web[0:99999999999999999999]", "neither of numbers"),
        ] {
            let problem = expand(pattern).unwrap_err().to_string();
            assert!(problem.contains(words), "{pattern}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_written_out_or_refused(pattern in "[a-c0-9:.\\[\\]-]{0,16}") {
            if let Ok((names, _)) = expand(&pattern) {
                prop_assert!(!names.is_empty() && names.len() <= MAX_TARGETS);
            }
        }
    }
}
