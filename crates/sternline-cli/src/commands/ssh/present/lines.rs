//! Lines as they come, each with its host's name in front.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use sternline::exec::OutputStream;
use unicode_width::UnicodeWidthStr;

use crate::ui::{Colour, Sink};

/// Where all lines begin on a terminal, unless a name is longer.
const WIDEST: usize = 24;

/// Labels and lines.
#[derive(Debug)]
pub(in crate::commands::ssh) struct Lines {
    stdout: Vec<String>,
    stderr: Vec<String>,
    ready: VecDeque<(Sink, Bytes)>,
}

impl Lines {
    /// With names that are aligned and have colours where a person reads them, and are easily taken away by a program elsewhere.
    pub(in crate::commands::ssh) fn new(labels: &[String]) -> Self {
        Self {
            stdout: prefixes(labels, Colour::of_stdout()),
            stderr: prefixes(labels, Colour::of_stderr()),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, index: usize, stream: OutputStream, bytes: &[u8]) {
        let prefixes = match stream {
            OutputStream::Stdout => &self.stdout,
            OutputStream::Stderr => &self.stderr,
        };
        let prefix = prefixes.get(index).map(String::as_str).unwrap_or_default();
        self.ready.push_back((stream.into(), labelled(prefix, bytes)));
    }

    pub(super) fn next(&mut self) -> Option<(Sink, Bytes)> {
        self.ready.pop_front()
    }
}

fn prefixes(labels: &[String], colour: Colour) -> Vec<String> {
    let widest = labels.iter().map(|label| label.width()).max().unwrap_or_default();
    let column = if colour.is_terminal() {
        widest.min(WIDEST)
    } else {
        0
    };
    labels
        .iter()
        .map(|label| {
            let blanks = " ".repeat(column.saturating_sub(label.width()));
            format!("{}:{blanks} ", colour.of_host(label))
        })
        .collect()
}

/// The lines, each with the prefix in front. A last line without its end gets one.
fn labelled(prefix: &str, lines: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(lines.len() + lines.len() / 8 + prefix.len() + 1);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        out.put(prefix.as_bytes());
        out.put(line);
    }
    if !lines.ends_with(b"\n") {
        out.put_u8(b'\n');
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_carries_its_host_and_ends() {
        assert_eq!(labelled("web: ", b"a\n\nb\n"), &b"web: a\nweb: \nweb: b\n"[..]);
        assert_eq!(labelled("web: ", b"a\nrest"), &b"web: a\nweb: rest\n"[..]);
        assert_eq!(labelled("web: ", b"\xff\r\n"), &b"web: \xff\r\n"[..]);
    }

    #[test]
    fn lines_begin_in_one_column_on_a_terminal_and_right_behind_the_name_elsewhere() {
        let long = "x".repeat(30);
        let labels = ["web-1", "db", &long].map(str::to_owned);
        let plain = |colour| -> Vec<usize> {
            prefixes(&labels, colour)
                .iter()
                .map(|prefix| prefix.width())
                .collect()
        };
        assert_eq!(plain(Colour::NONE), [7, 4, 32]);
        assert_eq!(plain(Colour::terminal(false)), [26, 26, 32]);
    }
}
