//! What the keys of a terminal send.

/// A key that is no character of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The cursor key up.
    Up,
    /// The cursor key down.
    Down,
    /// The cursor key to the right.
    Right,
    /// The cursor key to the left.
    Left,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Insert.
    Insert,
    /// Delete.
    Delete,
    /// Return, which full-screen programs tell from a line feed.
    Enter,
    /// Tab.
    Tab,
    /// Shift and tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Escape.
    Escape,
    /// A function key, from 1 to 12. Others send nothing.
    Function(u8),
}

impl Key {
    /// What an xterm sends for it (ctlseqs, "PC-Style Function Keys"). Cursor keys differ while a program has asked for
    /// application cursor keys.
    #[must_use]
    pub fn sequence(self, application: bool) -> String {
        let cursor = |letter: char| {
            if application {
                format!("\x1bO{letter}")
            } else {
                format!("\x1b[{letter}")
            }
        };
        let number = |number: u8| format!("\x1b[{number}~");
        match self {
            Self::Up => cursor('A'),
            Self::Down => cursor('B'),
            Self::Right => cursor('C'),
            Self::Left => cursor('D'),
            Self::Home => cursor('H'),
            Self::End => cursor('F'),
            Self::PageUp => number(5),
            Self::PageDown => number(6),
            Self::Insert => number(2),
            Self::Delete => number(3),
            Self::Enter => "\r".to_owned(),
            Self::Tab => "\t".to_owned(),
            Self::BackTab => "\x1b[Z".to_owned(),
            Self::Backspace => "\x7f".to_owned(),
            Self::Escape => "\x1b".to_owned(),
            Self::Function(1) => "\x1bOP".to_owned(),
            Self::Function(2) => "\x1bOQ".to_owned(),
            Self::Function(3) => "\x1bOR".to_owned(),
            Self::Function(4) => "\x1bOS".to_owned(),
            Self::Function(5) => number(15),
            Self::Function(key @ 6..=10) => number(key + 11),
            Self::Function(key @ 11..=12) => number(key + 12),
            Self::Function(_) => String::new(),
        }
    }
}

/// Watches a terminal's output for the mode of its cursor keys (DECCKM).
#[derive(Debug, Clone, Default)]
pub struct CursorKeys {
    is_application: bool,
    /// The end of the output, which may be the beginning of the sequence.
    begun: String,
}

const SWITCH: &str = "\x1b[?1";

impl CursorKeys {
    /// Cursor keys as they are at first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the program has asked for application cursor keys.
    #[must_use]
    pub fn is_application(&self) -> bool {
        self.is_application
    }

    /// Takes the next output.
    pub fn watch(&mut self, output: &str) {
        if self.begun.is_empty() && !output.contains('\x1b') {
            return;
        }
        let mut text = std::mem::take(&mut self.begun);
        text.push_str(output);
        for after in text.split(SWITCH).skip(1) {
            match after.chars().next() {
                Some('h') => self.is_application = true,
                Some('l') => self.is_application = false,
                _ => {}
            }
        }
        let end = text
            .rfind('\x1b')
            .and_then(|at| text.get(at..))
            .unwrap_or_default();
        if SWITCH.starts_with(end) {
            self.begun = end.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_send_what_an_xterm_sends() {
        for (key, normal, application) in [
            (Key::Up, "\x1b[A", "\x1bOA"),
            (Key::End, "\x1b[F", "\x1bOF"),
            (Key::Enter, "\r", "\r"),
            (Key::PageDown, "\x1b[6~", "\x1b[6~"),
            (Key::Function(1), "\x1bOP", "\x1bOP"),
            (Key::Function(5), "\x1b[15~", "\x1b[15~"),
            (Key::Function(6), "\x1b[17~", "\x1b[17~"),
            (Key::Function(10), "\x1b[21~", "\x1b[21~"),
            (Key::Function(12), "\x1b[24~", "\x1b[24~"),
            (Key::Function(99), "", ""),
        ] {
            assert_eq!(
                (key.sequence(false).as_str(), key.sequence(true).as_str()),
                (normal, application)
            );
        }
    }

    #[test]
    fn the_mode_is_seen_wherever_the_output_is_cut() {
        let output = "x\x1b[?1h\x1b=menu\x1b[?12l\x1b[?25l";
        for cut in 0..output.len() {
            let mut keys = CursorKeys::new();
            let (first, second) = output.split_at(cut);
            keys.watch(first);
            keys.watch(second);
            assert!(keys.is_application(), "{cut}");
            keys.watch("\x1b[?1l");
            assert!(!keys.is_application());
        }
    }
}
