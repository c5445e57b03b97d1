//! The lists of algorithms in `Ciphers`, `MACs`, `KexAlgorithms` and `HostKeyAlgorithms`.

use std::fmt;

use super::pattern::list_fits;

/// A list of algorithms as ssh_config(5) has it: instead of the default list, or with a sign in front a change to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgorithmList {
    change: Change,
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Only these, in this order.
    Replace,
    /// `+`: these too.
    Append,
    /// `-`: all but these, which may be patterns.
    Remove,
    /// `^`: these first.
    Prefer,
}

impl AlgorithmList {
    /// Reads a list. `None` for an empty one, one with an empty name, and one with a wildcard where nothing is removed,
    /// as for ssh.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (change, names) = match text.split_at_checked(1) {
            Some(("+", names)) => (Change::Append, names),
            Some(("-", names)) => (Change::Remove, names),
            Some(("^", names)) => (Change::Prefer, names),
            _ => (Change::Replace, text),
        };
        // What is removed may be anything.
        let bad = |name: &str| name.is_empty() || name.contains(['*', '?', '!', ' ', '\t']);
        if change != Change::Remove && names.split(',').any(bad) {
            return None;
        }
        Some(Self {
            change,
            names: names.split(',').map(str::to_owned).collect(),
        })
    }

    /// What is left of `supported`, which is also the default, in the order that the list asks for. Algorithms that are
    /// not among them are left out, and never added.
    #[must_use]
    pub fn choose<'a>(&self, supported: &[&'a str]) -> Vec<&'a str> {
        let named = || {
            let listed = self.names.iter();
            listed.filter_map(|name| supported.iter().copied().find(|known| known == name))
        };
        match self.change {
            Change::Replace => named().collect(),
            Change::Append => supported.to_vec(),
            Change::Remove => {
                let is_removed = |name: &str| list_fits(self.names.iter().map(String::as_str), name);
                supported
                    .iter()
                    .copied()
                    .filter(|name| !is_removed(name))
                    .collect()
            }
            Change::Prefer => {
                let first: Vec<&str> = named().collect();
                let others = supported.iter().copied().filter(|name| !first.contains(name));
                others.fold(first.clone(), |mut all, name| {
                    all.push(name);
                    all
                })
            }
        }
    }
}

/// As it was written.
impl fmt::Display for AlgorithmList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            Change::Replace => "",
            Change::Append => "+",
            Change::Remove => "-",
            Change::Prefer => "^",
        };
        write!(f, "{sign}{}", self.names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUPPORTED: [&str; 4] = ["chacha", "aes128-gcm", "aes256-ctr", "aes128-ctr"];

    #[test]
    fn a_list_chooses_among_what_is_supported_and_never_adds_to_it() {
        for (text, expected) in [
            ("aes128-ctr,aes256-ctr", &["aes128-ctr", "aes256-ctr"][..]),
            ("3des-cbc,chacha", &["chacha"]),
            ("3des-cbc", &[]),
            ("+3des-cbc", &SUPPORTED),
            ("-aes*", &["chacha"]),
            ("-chacha,*-gcm", &["aes256-ctr", "aes128-ctr"]),
            ("-*", &[]),
            ("-", &SUPPORTED),
            (
                "^aes128-ctr",
                &["aes128-ctr", "chacha", "aes128-gcm", "aes256-ctr"],
            ),
            ("^3des-cbc", &SUPPORTED),
        ] {
            let list = AlgorithmList::parse(text).unwrap();
            assert_eq!(list.choose(&SUPPORTED), expected, "{text}");
            assert_eq!(list.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "+", "^", "a,,b", "a,", "aes*", "+aes*", "^aes?", "a b", "!a"] {
            assert_eq!(AlgorithmList::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_list_is_shown_as_it_was_written(text in "[-+^]?[a-z@.,*-]{0,12}") {
            if let Some(list) = AlgorithmList::parse(&text) {
                prop_assert_eq!(list.to_string(), text);
                let chosen = list.choose(&SUPPORTED);
                prop_assert!(chosen.iter().all(|name| SUPPORTED.contains(name)));
            }
        }
    }
}
