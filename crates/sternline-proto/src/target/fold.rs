//! Many host names as few: `web-[01-20]` for twenty of them.

use std::fmt::Write as _;

/// Several names written as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The names, with ranges as [`parse_targets`](super::parse_targets) reads them.
    pub text: String,
    /// How many they are.
    pub count: usize,
}

/// Writes names that stand next to one another and differ in one number with a range: `web-01`, `web-02`, `web-03` and `web-07` are
/// `web-[01-03,07]`, and where all combinations are there two numbers are folded, as in `rack[1-2]-[1-8]`.
///
/// Order and number are kept: joined by commas, the result is read by [`parse_targets`](super::parse_targets) as the names that were
/// given. The user, the port and IPv6 addresses are never folded. What is no target stays as it is.
#[must_use]
pub fn fold<S: AsRef<str>>(names: &[S]) -> Vec<Folded> {
    let mut folded: Vec<Name> = Vec::new();
    for name in names {
        let mut last = Name::new(name.as_ref());
        // A range that has just become complete may make another one with what stands before it.
        while let Some(before) = folded.pop() {
            match before.join(last) {
                Ok(joined) => last = joined,
                Err((before, unjoined)) => {
                    folded.push(before);
                    last = unjoined;
                    break;
                }
            }
        }
        folded.push(last);
    }
    folded.iter().map(Name::written).collect()
}

/// A name, cut where numbers begin and end.
#[derive(Debug)]
struct Name(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Numbers(Vec<Span>),
}

/// Numbers that count up by one, each with at least `width` digits.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
    width: usize,
}

impl Name {
    fn new(name: &str) -> Self {
        let (user, rest) = name.split_at(name.rfind('@').map_or(0, |at| at + 1));
        let host = match rest.matches(':').count() {
            0 | 1 if !rest.contains(['[', ']', '%', '/']) => rest.split(':').next().unwrap_or_default(),
            _ => "",
        };
        let mut pieces = vec![Piece::Text(user.to_owned())];
        for run in runs(host) {
            pieces.push(
                Span::new(run).map_or_else(|| Piece::Text(run.to_owned()), |span| Piece::Numbers(vec![span])),
            );
        }
        pieces.push(Piece::Text(rest.get(host.len()..).unwrap_or_default().to_owned()));
        Self(pieces)
    }

    /// Both as one, if they differ in one number only, and all to the left of it is the same single number: then the names come in the
    /// same order as before, for the last range varies fastest.
    fn join(mut self, mut other: Self) -> Result<Self, (Self, Self)> {
        let mut pairs = self.0.iter().zip(&other.0).enumerate();
        let differs = pairs.find(|(_, (a, b))| a != b).map(|(place, _)| place);
        let rest_is_the_same = pairs.all(|(_, (a, b))| a == b);
        let Some(place) = differs.filter(|_| rest_is_the_same && self.0.len() == other.0.len()) else {
            return Err((self, other));
        };
        let left_is_single = self.0.iter().take(place).all(Piece::is_single);
        if let (true, Some(Piece::Numbers(spans)), Some(Piece::Numbers(more))) =
            (left_is_single, self.0.get_mut(place), other.0.get_mut(place))
        {
            for span in more.drain(..) {
                match spans.last_mut().filter(|last| last.goes_on_with(&span)) {
                    Some(last) => last.last = span.last,
                    None => spans.push(span),
                }
            }
            return Ok(self);
        }
        Err((self, other))
    }

    fn written(&self) -> Folded {
        let mut folded = Folded {
            text: String::new(),
            count: 1,
        };
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => folded.text.push_str(text),
                Piece::Numbers(spans) => {
                    folded.count *= spans.iter().map(Span::count).sum::<usize>();
                    let spans: Vec<String> = spans.iter().map(Span::written).collect();
                    let spans = spans.join(",");
                    let _ = match piece.is_single() {
                        true => write!(folded.text, "{spans}"),
                        false => write!(folded.text, "[{spans}]"),
                    };
                }
            }
        }
        folded
    }
}

impl Piece {
    /// Whether it stands for one text only.
    fn is_single(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Numbers(spans) => spans.iter().map(Span::count).sum::<usize>() == 1,
        }
    }
}

impl Span {
    /// A number of as many digits as ranges take.
    fn new(digits: &str) -> Option<Self> {
        let is_number = (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| is_number)?;
        Some(Self {
            first: number,
            last: number,
            width: if digits.starts_with('0') { digits.len() } else { 1 },
        })
    }

    /// Whether the other one, written the way this one is, comes right behind it.
    fn goes_on_with(&self, other: &Self) -> bool {
        // Neither `9` after `08` nor `010` after `9`, but `10` after `09`.
        let same_form = format!("{:0width$}", other.first, width = self.width)
            == format!("{:0width$}", other.first, width = other.width);
        self.last.checked_add(1) == Some(other.first) && same_form
    }

    fn count(&self) -> usize {
        usize::try_from(self.last - self.first).map_or(usize::MAX, |more| more.saturating_add(1))
    }

    fn written(&self) -> String {
        let Self { first, last, width } = self;
        match first == last {
            true => format!("{first:0width$}"),
            false => format!("{first:0width$}-{last:0width$}"),
        }
    }
}

/// The runs of digits and of everything else, in order.
fn runs(text: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c: char| c.is_ascii_digit() != first.is_ascii_digit())
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        runs.push(run);
        rest = after;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::parse_targets;
    use proptest::prelude::*;

    fn folded(names: &str) -> String {
        let names: Vec<&str> = names.split(' ').collect();
        joined(&fold(&names))
    }

    fn joined(folded: &[Folded]) -> String {
        let texts: Vec<&str> = folded.iter().map(|folded| folded.text.as_str()).collect();
        texts.join(",")
    }

    #[test]
    fn names_that_differ_in_a_number_become_a_range() {
        for (names, expected) in [
            ("web-01 web-02 web-03", "web-[01-03]"),
            ("web-01 web-02 web-03 web-07", "web-[01-03,07]"),
            ("n8 n9 n10 n11", "n[8-11]"),
            ("n08 n09 n10 n11", "n[08-11]"),
            ("n098 n099 n100", "n[098-100]"),
            ("n99 n100", "n[99-100]"),
            ("n9 n010", "n[9,010]"),
            ("n08 n9", "n[08,9]"),
            ("n3 n2 n1", "n[3,2,1]"),
            ("a b", "a,b"),
            ("web", "web"),
            ("web-1 db-1 web-2", "web-1,db-1,web-2"),
            ("1.example 2.example", "[1-2].example"),
            ("127.0.0.1 127.0.0.2 127.0.0.3", "127.0.0.[1-3]"),
            ("r1n1 r1n2 r2n1 r2n2", "r[1-2]n[1-2]"),
            ("r1n1 r1n2 r2n1 r2n2 r3n1", "r[1-2]n[1-2],r3n1"),
            ("bob@web-1:2222 bob@web-2:2222", "bob@web-[1-2]:2222"),
            ("b1@web b2@web", "b1@web,b2@web"),
            ("web:1 web:2", "web:1,web:2"),
            ("::1 ::2", "::1,::2"),
            ("[::1]:22 [::2]:22", "[::1]:22,[::2]:22"),
            (
                "n1000000000000000000000 n1000000000000000000001",
                "n1000000000000000000000,n1000000000000000000001",
            ),
        ] {
            assert_eq!(folded(names), expected, "{names}");
        }
    }

    #[test]
    fn a_whole_network_is_two_ranges() {
        let names: Vec<String> = (0..10_000)
            .map(|n| format!("127.0.{}.{}", n / 250, n % 250 + 1))
            .collect();
        let folded = fold(&names);
        assert_eq!(joined(&folded), "127.0.[0-39].[1-250]");
        assert_eq!(folded[0].count, 10_000);
    }

    proptest! {
        #[test]
        fn what_was_folded_reads_back_as_the_same_names(
            names in proptest::collection::vec("([ab]@)?[ab]{0,1}0{0,2}[1-9]?[0-9](-[0-3]){0,2}(:[1-3])?", 1..40),
        ) {
            let before = parse_targets(&names.join(",")).unwrap().targets;
            let names: Vec<String> = before.iter().map(ToString::to_string).collect();
            let folded = fold(&names);
            prop_assert_eq!(folded.iter().map(|folded| folded.count).sum::<usize>(), names.len());
            let after = parse_targets(&joined(&folded)).unwrap();
            prop_assert_eq!(after.targets, before, "{}", joined(&folded));
        }

        #[test]
        fn any_texts_are_folded(names in proptest::collection::vec(any::<String>(), 0..10)) {
            prop_assert!(fold(&names).len() <= names.len());
        }
    }
}
