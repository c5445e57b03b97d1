//! Following what comes back while sudo decides.

use super::markers::SudoMarkers;

/// How much of an unfinished line is held back: any prompt is shorter.
const LONGEST_LINE: usize = 4096;

/// How much of what was said is kept for the reason of a refusal.
const KEPT: usize = 16 * 1024;

/// What sudo-rs puts before a prompt of one's own; PAM's own prompt follows behind a bracket.
const BRACKET: &[u8] = b"[sudo: ";

/// What a terminal shows of a password's end, or of its characters (`pwfeedback`).
const ECHOES: &[u8] = b" *\x08\r\n";

/// Follows the stream on which sudo prompts, from the first byte until the command has started.
///
/// That stream is standard error, or a terminal's only one. Its bytes go in as they come, in pieces of any size; what
/// comes out is everything but the two markers, and the moments that count, in order.
#[derive(Debug)]
pub struct SudoDialog {
    prompt: Vec<u8>,
    ready: Vec<u8>,
    state: State,
    /// Bytes of which it is not known yet what they are.
    held: Vec<u8>,
    /// The end of what was said, for the reason of a refusal.
    said: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was asked so far.
    Waiting,
    /// The marker was seen inside brackets, and PAM's own prompt is still to come.
    Bracketed {
        /// Whether the password has been given before.
        again: bool,
    },
    /// The password was asked for once.
    Asked,
    /// The command runs: everything is its own.
    Started,
}

/// Something that has come to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SudoStep {
    /// Bytes for whoever reads the output.
    Output(Vec<u8>),
    /// sudo waits for the password. Comes once at most.
    Prompt,
    /// sudo asks again: what it was given is wrong.
    PromptAgain,
    /// Something other than a password is asked for: PAM's own words, unescaped.
    Question(String),
    /// The command has started, and reads what is sent from now on.
    Started,
}

impl SudoDialog {
    /// At the beginning of a command that was composed with these markers.
    #[must_use]
    pub fn new(markers: &SudoMarkers) -> Self {
        Self {
            prompt: markers.prompt().text().into_bytes(),
            ready: markers.ready().text().into_bytes(),
            state: State::Waiting,
            held: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Whether the password was asked for.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.state != State::Waiting
    }

    /// Whether the command has started.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.state == State::Started
    }

    /// What was said before the command started, at most its last 16 KiB, without the markers and unescaped.
    #[must_use]
    pub fn said(&self) -> String {
        let said = [self.said.as_slice(), &self.held].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Takes in the next piece.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<SudoStep> {
        let mut steps = Vec::new();
        self.held.extend_from_slice(bytes);
        while self.step(&mut steps) {}
        steps
    }

    /// Gives back what was still held when the stream has ended.
    pub fn finish(&mut self) -> Option<SudoStep> {
        let mut steps = Vec::new();
        let held = std::mem::take(&mut self.held);
        self.say(&held, &mut steps);
        steps.pop()
    }

    /// One step further; `false` when more has to come first.
    fn step(&mut self, steps: &mut Vec<SudoStep>) -> bool {
        match self.state {
            State::Started => {
                let own = std::mem::take(&mut self.held);
                if !own.is_empty() {
                    steps.push(SudoStep::Output(own));
                }
                false
            }
            State::Bracketed { again } => self.bracketed(again, steps),
            State::Waiting | State::Asked => self.look(steps),
        }
    }

    /// Looks for a marker, and lets go of what is surely none.
    fn look(&mut self, steps: &mut Vec<SudoStep>) -> bool {
        let prompt = find(&self.held, &self.prompt);
        let ready = find(&self.held, &self.ready);
        match (prompt, ready) {
            (Some(at), ready) if ready.is_none_or(|ready| at < ready) => {
                let before = self.take(at, self.prompt.len());
                let again = self.state == State::Asked;
                match before.strip_suffix(BRACKET) {
                    Some(before) => {
                        self.say(before, steps);
                        self.state = State::Bracketed { again };
                    }
                    None => {
                        self.say(&before, steps);
                        self.asked(again, steps);
                    }
                }
                true
            }
            (_, Some(at)) => {
                let before = self.take(at, self.ready.len());
                self.say(&before, steps);
                self.state = State::Started;
                steps.push(SudoStep::Started);
                true
            }
            _ => {
                // No marker holds a line's end, so only the last line can become one.
                let mut line = self
                    .held
                    .iter()
                    .rposition(|byte| *byte == b'\n')
                    .map_or(0, |at| at + 1);
                if self.held.len() - line > LONGEST_LINE {
                    line = self.held.len() - LONGEST_LINE / 2;
                }
                let sure = self.take(line, 0);
                self.say(&sure, steps);
                false
            }
        }
    }

    /// Reads PAM's own prompt behind the bracket, up to its colon.
    fn bracketed(&mut self, again: bool, steps: &mut Vec<SudoStep>) -> bool {
        let end = self.held.iter().position(|byte| matches!(byte, b':' | b'\n'));
        let Some(end) = end else {
            if self.held.len() <= LONGEST_LINE {
                return false;
            }
            // No prompt is as long: it is somebody else's text.
            self.state = if again { State::Asked } else { State::Waiting };
            return true;
        };
        let question = self.take(end + 1, 0);
        let question = String::from_utf8_lossy(&question);
        let question = question.trim_start_matches(']').trim();
        if question.to_ascii_lowercase().contains("password") {
            self.asked(again, steps);
        } else {
            self.state = State::Asked;
            steps.push(SudoStep::Question(question.to_owned()));
        }
        true
    }

    fn asked(&mut self, again: bool, steps: &mut Vec<SudoStep>) {
        self.state = State::Asked;
        steps.push(if again {
            SudoStep::PromptAgain
        } else {
            SudoStep::Prompt
        });
        self.said.clear();
    }

    /// Takes so many bytes from the front, and drops so many behind them.
    fn take(&mut self, bytes: usize, marker: usize) -> Vec<u8> {
        let rest = self.held.split_off((bytes + marker).min(self.held.len()));
        let mut taken = std::mem::replace(&mut self.held, rest);
        taken.truncate(bytes);
        taken
    }

    /// Passes on what somebody said before the command started.
    fn say(&mut self, bytes: &[u8], steps: &mut Vec<SudoStep>) {
        let mut bytes = bytes;
        if self.state == State::Asked && self.said.is_empty() {
            // The line of the prompt: what the terminal shows of the answer, and the end of the line.
            let echoes = bytes.iter().take_while(|byte| ECHOES.contains(byte)).count();
            bytes = bytes.get(echoes..).unwrap_or_default();
        }
        if bytes.is_empty() {
            return;
        }
        self.said.extend_from_slice(bytes);
        let excess = self.said.len().saturating_sub(KEPT);
        self.said.drain(..excess);
        steps.push(SudoStep::Output(bytes.to_vec()));
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn markers() -> SudoMarkers {
        SudoMarkers::new(std::array::from_fn(|index| index as u8))
    }

    fn prompt() -> String {
        markers().prompt().text()
    }

    fn ready() -> String {
        markers().ready().text()
    }

    /// The steps with neighbouring output joined, so that pieces make no difference.
    fn follow<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<SudoStep> {
        let mut dialog = SudoDialog::new(&markers());
        let mut steps: Vec<SudoStep> = Vec::new();
        let mut all: Vec<SudoStep> = pieces.into_iter().flat_map(|piece| dialog.read(piece)).collect();
        all.extend(dialog.finish());
        for step in all {
            match (steps.last_mut(), step) {
                (Some(SudoStep::Output(before)), SudoStep::Output(more)) => before.extend(more),
                (_, step) => steps.push(step),
            }
        }
        steps
    }

    fn steps(text: &str) -> Vec<SudoStep> {
        follow([text.as_bytes()])
    }

    fn output(text: &str) -> SudoStep {
        SudoStep::Output(text.as_bytes().to_vec())
    }

    #[test]
    fn the_markers_are_taken_out_and_everything_else_comes_through() {
        use SudoStep::{Prompt, PromptAgain, Question, Started};
        let (p, r) = (prompt(), ready());
        for (text, expected) in [
            (format!("{r}hello"), vec![Started, output("hello")]),
            (format!("{p}{r}hello"), vec![Prompt, Started, output("hello")]),
            (
                format!("Lecture\n\n{p}{r}"),
                vec![output("Lecture\n\n"), Prompt, Started],
            ),
            (format!("{p}\r\n{r}x"), vec![Prompt, Started, output("x")]),
            (
                format!("{p}***\x08 \r\n{r} x"),
                vec![Prompt, Started, output(" x")],
            ),
            (
                format!("{p}Sorry, try again.\n{p}"),
                vec![Prompt, output("Sorry, try again.\n"), PromptAgain],
            ),
            // Behind the start nothing is a prompt any more, whatever it looks like.
            (
                format!("{r}{p}{r}[sudo] password for bob: "),
                vec![Started, output(&format!("{p}{r}[sudo] password for bob: "))],
            ),
            (
                format!("[sudo: {p}] Password: {r}out"),
                vec![Prompt, Started, output("out")],
            ),
            (
                format!(
                    "[sudo: {p}] Password: \nsudo: Authentication failed, try again.\n[sudo: {p}] Password: "
                ),
                vec![
                    Prompt,
                    output("sudo: Authentication failed, try again.\n"),
                    PromptAgain,
                ],
            ),
            (
                format!("[sudo: {p}] Verification code: "),
                vec![Question("Verification code:".to_owned())],
            ),
            ("no prompt: ".to_owned(), vec![output("no prompt: ")]),
        ] {
            assert_eq!(steps(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_usual_prompt_is_no_prompt_of_ours() {
        for text in [
            "[sudo] password for bob: ",
            "Password: ",
            "sudo-password-",
            "sudo-password-\"\"0",
        ] {
            assert_eq!(steps(text), [output(text)]);
        }
        let mut dialog = SudoDialog::new(&markers());
        dialog.read(b"[sudo] password for bob: ");
        assert!(!dialog.was_asked());
        assert_eq!(dialog.said(), "[sudo] password for bob: ");
    }

    #[test]
    fn a_line_without_end_is_not_held_for_ever() {
        let long = "x".repeat(100_000);
        let mut dialog = SudoDialog::new(&markers());
        let first = dialog.read(long.as_bytes());
        assert!(matches!(first.as_slice(), [SudoStep::Output(bytes)] if bytes.len() > 90_000));
        assert_eq!(
            steps(&format!("{long}{}", ready())),
            [output(&long), SudoStep::Started]
        );
    }

    /// Pieces of a dialogue, with markers, halves of them and other text in any order.
    fn text() -> impl Strategy<Value = String> {
        let (p, r) = (prompt(), ready());
        let words = vec![
            p.clone(),
            r.clone(),
            p[..20].to_owned(),
            r[r.len() - 9..].to_owned(),
            "\n".to_owned(),
            "\r\n".to_owned(),
            "Password: ".to_owned(),
            "[sudo: ".to_owned(),
            "] Password: ".to_owned(),
            "***".to_owned(),
            "Sorry, try again.".to_owned(),
            "ü".to_owned(),
        ];
        proptest::collection::vec(proptest::sample::select(words), 0..10).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in text(), size in 1..40_usize) {
            prop_assert_eq!(follow(text.as_bytes().chunks(size)), steps(&text));
        }

        #[test]
        fn what_the_command_writes_comes_through_byte_for_byte(
            bytes in proptest::collection::vec(any::<u8>(), 1..200), size in 1..40_usize, asked in any::<bool>(),
        ) {
            let (p, r) = (prompt(), ready());
            let begin = if asked { format!("{p}{r}") } else { r };
            let stream = [begin.as_bytes(), &bytes].concat();
            let steps = follow(stream.chunks(size));
            prop_assert_eq!(steps.last(), Some(&SudoStep::Output(bytes)));
        }

        #[test]
        fn what_is_said_before_comes_through_byte_for_byte(
            said in "[a-z\n:é]{0,60}", size in 1..40_usize,
        ) {
            let stream = format!("{said}{}{}", prompt(), ready());
            let followed = follow(stream.as_bytes().chunks(size));
            let before: Vec<u8> = followed.iter().take_while(|step| **step != SudoStep::Prompt)
                .filter_map(|step| match step { SudoStep::Output(bytes) => Some(bytes.clone()), _ => None })
                .flatten().collect();
            prop_assert_eq!(before, said.as_bytes());
        }

        #[test]
        fn at_most_one_prompt_is_to_be_answered(text in text(), size in 1..40_usize) {
            let steps = follow(text.as_bytes().chunks(size));
            let prompts = steps.iter().filter(|step| **step == SudoStep::Prompt).count();
            prop_assert!(prompts <= 1);
            let started = steps.iter().position(|step| *step == SudoStep::Started);
            let asked = steps.iter().position(|step| *step == SudoStep::Prompt);
            prop_assert!(started.is_none() || asked.is_none() || asked < started);
        }
    }
}
