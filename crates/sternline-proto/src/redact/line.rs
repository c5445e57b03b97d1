//! Secrets among the words of a command line.

use super::name::is_secret_option;
use super::span::Span;
use super::token::looks_random;
use super::tool::{Rule, Tool, tools};

/// How many tools of one line are kept in mind, the latest ones: `sudo -u x docker exec db mysql -px`.
const MOST_ACTIVE: usize = 4;

/// Which part of a word is the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// All of it, unless it reads like prose that goes on.
    Prose,
    /// All of it, if it looks like something made by a machine or for one.
    Random,
    /// As `Random`, or the word behind it if this is the number of an encryption type, as routers have it.
    Typed,
    /// What stands behind the first `:`, `%`, `,` or `=`; nothing without it.
    After(u8),
    /// The password of `user/password@service`.
    Slash,
    /// What stands behind `pass:`; with no such word in front, and no `file:` and the like either, all of it.
    Pass,
}

impl Part {
    /// The secret in a value that stands from `from` to `to`.
    pub(super) fn span(self, text: &str, from: usize, to: usize) -> Option<Span> {
        let value = text.get(from..to)?;
        let behind = |at: usize| Some(Span::new(from + at, to)).filter(|span| span.from < span.to);
        match self {
            Self::Whole => behind(0),
            Self::Prose => behind(0).filter(|_| !is_prose(value)),
            Self::Random | Self::Typed => behind(0).filter(|_| looks_random(value)),
            Self::After(mark) => behind(value.bytes().position(|byte| byte == mark)? + 1),
            Self::Slash => {
                let slash = value.find('/')?;
                let end = value.rfind('@').filter(|at| *at > slash).unwrap_or(value.len());
                Some(Span::new(from + slash + 1, from + end)).filter(|span| span.from < span.to)
            }
            Self::Pass => match value.split_once(':') {
                Some((kind, _)) if kind.ends_with("pass") => behind(kind.len() + 1),
                Some(("file" | "env" | "fd", _)) => None,
                _ => behind(0).filter(|_| value != "stdin"),
            },
        }
    }
}

/// Whether a word behind the name of an option goes on with a sentence about it.
fn is_prose(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "a",
        "an",
        "and",
        "are",
        "argument",
        "as",
        "because",
        "but",
        "by",
        "can",
        "cannot",
        "does",
        "expects",
        "flag",
        "for",
        "from",
        "has",
        "if",
        "in",
        "instead",
        "into",
        "is",
        "it",
        "may",
        "must",
        "needs",
        "not",
        "of",
        "on",
        "option",
        "options",
        "or",
        "parameter",
        "requires",
        "set",
        "should",
        "so",
        "takes",
        "than",
        "that",
        "the",
        "then",
        "to",
        "was",
        "when",
        "which",
        "will",
        "with",
        "without",
    ];
    WORDS.contains(&word.trim_end_matches([',', '.', ';', ':', ')']))
}

/// Where a secret stands, as seen from a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// In this word, from here on.
    Here(usize, Part),
    /// In the next word.
    Next(Part),
}

/// Reads a command line word by word, and knows the tools in it.
#[derive(Default)]
pub(super) struct Line {
    active: Vec<Active>,
}

struct Active {
    tool: &'static Tool,
    /// How many operands there were.
    operands: usize,
    /// Whether the word was there that the rules wait for.
    applies: bool,
    /// Whether a quote is open since the tool was named.
    single: bool,
    double: bool,
}

impl Line {
    /// What the word, without the quotes round it, says about where a secret stands.
    pub(super) fn word(&mut self, word: &str) -> Step {
        if let Some(option) = word.strip_prefix('-') {
            // Java, openssl and PowerShell have long options with one dash.
            let name = option.strip_prefix('-').unwrap_or(option).to_ascii_lowercase();
            let has_value = name.contains(['=', ':']);
            for active in &mut self.active {
                active.note(word);
            }
            let step = self.active.iter().rev().find_map(|active| active.option(word));
            return match step {
                Some(step @ Step::Next(_)) => step,
                _ if !has_value && is_secret_option(&name) => Step::Next(Part::Prose),
                step => step.unwrap_or(Step::Nothing),
            };
        }
        if word.starts_with('/')
            && let Some(step @ Step::Here(..)) =
                self.active.iter().rev().find_map(|active| active.option(word))
        {
            return step;
        }
        let mut step = Step::Nothing;
        for active in self.active.iter_mut().rev() {
            let found = active.operand(word);
            if step == Step::Nothing {
                step = found;
            }
        }
        self.active
            .retain(|active| !(active.tool.ends && active.operands > 0));
        for tool in tools(program(word)) {
            self.active.retain(|active| !std::ptr::eq(active.tool, *tool));
            if self.active.len() == MOST_ACTIVE {
                self.active.remove(0);
            }
            self.active.push(Active {
                tool,
                operands: 0,
                applies: tool.when.is_empty(),
                single: false,
                double: false,
            });
        }
        step
    }

    /// Whether any tool is known by now.
    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// Takes note of the quotes in what has been read.
    pub(super) fn quotes(&mut self, text: &str) {
        for active in &mut self.active {
            for byte in text.bytes() {
                match byte {
                    b'\'' => active.single = !active.single,
                    b'"' => active.double = !active.double,
                    _ => {}
                }
            }
        }
    }

    /// The end of a command: of those that have no quote open.
    pub(super) fn end(&mut self) {
        self.active.retain(|active| active.single || active.double);
    }
}

impl Active {
    fn option(&self, word: &str) -> Option<Step> {
        if !self.applies {
            return None;
        }
        self.tool.rules.iter().find_map(|rule| match *rule {
            Rule::Attached(name, part) => attached(word, name, part),
            Rule::Separate(name, part) => separate(word, name, part),
            Rule::Both(name, part) => separate(word, name, part).or_else(|| attached(word, name, part)),
            Rule::Behind(..) | Rule::Operand(..) | Rule::Operands(_) => None,
        })
    }

    /// Options that the rules wait for.
    fn note(&mut self, word: &str) {
        let cluster = word.strip_prefix('-').unwrap_or_default();
        self.applies |= self.tool.when.iter().any(|when| match when.strip_prefix('-') {
            // A letter among others, as in `htpasswd -nb`.
            Some(letter) if letter.len() == 1 => !cluster.starts_with('-') && cluster.contains(letter),
            _ => *when == word,
        });
    }

    fn operand(&mut self, word: &str) -> Step {
        self.applies |= self.tool.when.contains(&word);
        self.operands += 1;
        if !self.applies {
            return Step::Nothing;
        }
        let step = self.tool.rules.iter().find_map(|rule| match *rule {
            Rule::Behind(name, part) if word.eq_ignore_ascii_case(name) => Some(Step::Next(part)),
            Rule::Operand(number, part) if self.operands == number => Some(Step::Here(0, part)),
            Rule::Operands(part) => Some(Step::Here(0, part)),
            _ => None,
        });
        step.unwrap_or(Step::Nothing)
    }
}

/// `-px`, but not `-p` alone.
fn attached(word: &str, name: &str, part: Part) -> Option<Step> {
    let value = word.strip_prefix(name)?;
    (!value.is_empty()).then_some(Step::Here(name.len(), part))
}

/// `-p` alone, `--pass=x`, and `-xp` where x and p are options of one letter.
fn separate(word: &str, name: &str, part: Part) -> Option<Step> {
    if word == name {
        return Some(Step::Next(part));
    }
    if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
        return (!value.is_empty()).then_some(Step::Here(name.len() + 1, part));
    }
    let letter = name.strip_prefix('-').filter(|letter| letter.len() == 1)?;
    let others = word.strip_prefix('-')?.strip_suffix(letter)?;
    let is_cluster = others.len() <= 4 && others.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_cluster.then_some(Step::Next(part))
}

/// The name of the program that a word starts, if it does.
fn program(word: &str) -> &str {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    name.strip_suffix(".exe").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(line: &str) -> Vec<Step> {
        let mut state = Line::default();
        line.split(' ')
            .map(|word| state.word(word))
            .filter(|step| *step != Step::Nothing)
            .collect()
    }

    #[test]
    fn options_mean_what_they_mean_to_their_tool() {
        for (line, expected) in [
            ("mysql -u root -px db", vec![Step::Here(2, Part::Whole)]),
            ("mysql -u root -p db", vec![]),
            ("/usr/bin/sshpass -p x ssh -p 22 h", vec![Step::Next(Part::Whole)]),
            ("ssh -p 22 h", vec![]),
            ("docker login -u a -p x", vec![Step::Next(Part::Whole)]),
            ("docker run -p 80:80 image", vec![]),
            ("curl -su a:b url", vec![Step::Next(Part::After(b':'))]),
            ("anything --db-password x", vec![Step::Next(Part::Prose)]),
            ("anything --ask-password x", vec![]),
            ("htpasswd -nb a x", vec![Step::Here(0, Part::Whole)]),
        ] {
            let found = steps(line);
            // A value that is the next word is no word to look at; here it is one, and means nothing.
            assert_eq!(found, expected, "{line}");
        }
    }
}
