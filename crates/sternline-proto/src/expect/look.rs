//! Assertions: `^`, `$`, `\b` and their kin.

use regex_automata::util::look::Look;

/// What stands before a place, as far as assertions care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prev {
    Other,
    Nothing,
    LineFeed,
    Return,
    Word,
}

impl Prev {
    pub(super) fn of(byte: Option<u8>, matters: bool) -> Self {
        match byte {
            _ if !matters => Self::Other,
            None => Self::Nothing,
            Some(b'\n') => Self::LineFeed,
            Some(b'\r') => Self::Return,
            Some(byte) if is_word(byte) => Self::Word,
            Some(_) => Self::Other,
        }
    }

    pub(super) fn flag(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Nothing => 1,
            Self::LineFeed => 2,
            Self::Return => 3,
            Self::Word => 4,
        }
    }

    pub(super) fn of_flag(flag: u8) -> Self {
        match flag {
            1 => Self::Nothing,
            2 => Self::LineFeed,
            3 => Self::Return,
            4 => Self::Word,
            _ => Self::Other,
        }
    }
}

/// What stands behind a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Unknown,
    Byte(u8),
    End,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether an assertion holds; `None` where that depends on what comes next. Word boundaries are those of ASCII.
pub(super) fn holds(look: Look, prev: Prev, next: Next) -> Option<bool> {
    let after_word = prev == Prev::Word;
    // The answer if what comes next is as told, where that is known.
    let ahead = |test: &dyn Fn(Option<u8>) -> bool| match next {
        Next::Unknown => None,
        Next::Byte(byte) => Some(test(Some(byte))),
        Next::End => Some(test(None)),
    };
    let before_word = |byte: Option<u8>| byte.is_some_and(is_word);
    match look {
        Look::Start => Some(prev == Prev::Nothing),
        Look::StartLF => Some(matches!(prev, Prev::Nothing | Prev::LineFeed)),
        Look::StartCRLF => match prev {
            Prev::Nothing | Prev::LineFeed => Some(true),
            Prev::Return => ahead(&|byte| byte != Some(b'\n')),
            Prev::Other | Prev::Word => Some(false),
        },
        Look::End => ahead(&|byte| byte.is_none()),
        Look::EndLF => ahead(&|byte| matches!(byte, None | Some(b'\n'))),
        Look::EndCRLF => ahead(&|byte| match byte {
            None | Some(b'\r') => true,
            Some(b'\n') => prev != Prev::Return,
            Some(_) => false,
        }),
        Look::WordAscii | Look::WordUnicode => ahead(&|byte| after_word != before_word(byte)),
        Look::WordAsciiNegate | Look::WordUnicodeNegate => ahead(&|byte| after_word == before_word(byte)),
        Look::WordStartAscii | Look::WordStartUnicode => ahead(&|byte| !after_word && before_word(byte)),
        Look::WordEndAscii | Look::WordEndUnicode => ahead(&|byte| after_word && !before_word(byte)),
        Look::WordStartHalfAscii | Look::WordStartHalfUnicode => Some(!after_word),
        Look::WordEndHalfAscii | Look::WordEndHalfUnicode => ahead(&|byte| !before_word(byte)),
    }
}
