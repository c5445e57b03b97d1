//! `Match` lines: under which circumstances a block applies.

use super::error::Problem;
use super::lexer::delimited;
use super::pattern::list_fits;

/// The criteria of a line, all of which have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criteria {
    list: Vec<Criterion>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Criterion {
    test: Test,
    negated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    All,
    /// `canonical` and `final`, which only the second of two readings satisfies.
    SecondReading {
        wanted: bool,
    },
    /// Patterns in lower case, between commas, for the name that is connected to as far as it is known.
    Host(String),
    /// The same for the host as it was named.
    OriginalHost(String),
    User(String),
    LocalUser(String),
    /// What cannot be known without running a command, or is not known to us: the criterion's name.
    Unknowable(String),
}

/// What the criteria are compared with.
pub(super) struct Circumstances<'a> {
    /// In lower case.
    pub(super) host: &'a str,
    /// In lower case.
    pub(super) original_host: &'a str,
    pub(super) user: &'a str,
    pub(super) local_user: &'a str,
    /// Whether the files are read for the second time.
    pub(super) second_reading: bool,
}

/// Whether a block applies.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// That hangs on a criterion that is not supported: its name.
    Unknown(String),
}

impl Criteria {
    /// Reads what follows the word `Match`, as ssh does.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut words = delimited(text);
        let mut list = Vec::new();
        while let Some(word) = words.next() {
            let word = word.ok_or(Problem::Quote)?;
            if word.is_empty() || word.starts_with('#') {
                break;
            }
            let (negated, name) = match word.strip_prefix('!') {
                Some(name) => (true, name),
                None => (false, word.as_str()),
            };
            let name = name.to_ascii_lowercase();
            let mut argument = || match words.next() {
                Some(Some(argument)) if !argument.is_empty() && !argument.starts_with('#') => Ok(argument),
                Some(None) => Err(Problem::Quote),
                _ => Err(Problem::MatchArgument {
                    criterion: word.clone(),
                }),
            };
            let test = match name.as_str() {
                // One other criterion may stand before it, and nothing behind it.
                "all" if list.len() > 1 || argument().is_ok() => return Err(Problem::MatchAll),
                "all" => Test::All,
                "canonical" => Test::SecondReading { wanted: false },
                "final" => Test::SecondReading { wanted: true },
                "host" => Test::Host(argument()?.to_ascii_lowercase()),
                "originalhost" => Test::OriginalHost(argument()?.to_ascii_lowercase()),
                "user" => Test::User(argument()?),
                "localuser" => Test::LocalUser(argument()?),
                "exec" | "localnetwork" | "tagged" | "version" | "sessiontype" | "command" => {
                    argument()?;
                    Test::Unknowable(name)
                }
                _ => return Err(Problem::MatchCriterion { criterion: word }),
            };
            list.push(Criterion { test, negated });
        }
        match list.is_empty() {
            true => Err(Problem::NoValue {
                keyword: "Match".to_owned(),
            }),
            false => Ok(Self { list }),
        }
    }

    /// Whether the files have to be read again once the host's name is known (`final`).
    pub(super) fn wants_second_reading(&self) -> bool {
        let wanted = Test::SecondReading { wanted: true };
        self.list.iter().any(|criterion| criterion.test == wanted)
    }

    /// Whether all criteria hold. One that does not decides, whatever the unknown ones may be.
    pub(super) fn hold(&self, now: &Circumstances<'_>) -> Answer {
        let mut unknown = None;
        for Criterion { test, negated } in &self.list {
            let fits = |patterns: &str, text| list_fits(patterns.split(','), text);
            let holds = match test {
                Test::All => true,
                Test::SecondReading { .. } => now.second_reading,
                Test::Host(patterns) => fits(patterns, now.host),
                Test::OriginalHost(patterns) => fits(patterns, now.original_host),
                Test::User(patterns) => fits(patterns, now.user),
                Test::LocalUser(patterns) => fits(patterns, now.local_user),
                Test::Unknowable(name) => {
                    unknown.get_or_insert(name);
                    continue;
                }
            };
            if holds == *negated {
                return Answer::No;
            }
        }
        match unknown {
            Some(name) => Answer::Unknown(name.clone()),
            None => Answer::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Circumstances<'_> = Circumstances {
        host: "10.0.0.5",
        original_host: "web",
        user: "ann",
        local_user: "me",
        second_reading: false,
    };

    #[test]
    fn all_criteria_of_a_line_have_to_hold() {
        for (text, expected) in [
            ("all", Answer::Yes),
            ("!all", Answer::No),
            ("host 10.*", Answer::Yes),
            ("host web", Answer::No),
            ("OriginalHost WEB", Answer::Yes),
            ("originalhost=web user ann", Answer::Yes),
            ("originalhost web user bob", Answer::No),
            ("originalhost web !user bob # all but him", Answer::Yes),
            ("host \"!10.*,*\"", Answer::No),
            ("localuser root,me", Answer::Yes),
            ("user Ann", Answer::No),
            ("canonical", Answer::No),
            ("!final host 10.0.0.5", Answer::Yes),
            ("exec \"test -e x\"", Answer::Unknown("exec".to_owned())),
            ("!exec x originalhost web", Answer::Unknown("exec".to_owned())),
            ("exec x originalhost db", Answer::No),
            ("originalhost db tagged x", Answer::No),
            (
                "localnetwork 10.0.0.0/8",
                Answer::Unknown("localnetwork".to_owned()),
            ),
        ] {
            assert_eq!(Criteria::parse(text).unwrap().hold(&NOW), expected, "{text}");
        }
        let second = Circumstances {
            second_reading: true,
            ..NOW
        };
        for (text, expected) in [
            ("final", Answer::Yes),
            ("canonical all", Answer::Yes),
            ("!final", Answer::No),
        ] {
            assert_eq!(Criteria::parse(text).unwrap().hold(&second), expected, "{text}");
        }
        assert!(Criteria::parse("host x final").unwrap().wants_second_reading());
        assert!(!Criteria::parse("canonical").unwrap().wants_second_reading());
    }

    #[test]
    fn what_ssh_refuses_is_refused() {
        for text in [
            "",
            "# x",
            "host",
            "host # x",
            "foo bar",
            "all host x",
            "canonical final all",
            "host \"x",
            "exec",
            "!",
        ] {
            assert!(Criteria::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z!,*#\" =]{0,24}") {
            if let Ok(criteria) = Criteria::parse(&text) {
                let _ = criteria.hold(&NOW);
            }
        }
    }
}
