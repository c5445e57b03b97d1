//! Cutting a stream of bytes where lines end.

use bytes::{Bytes, BytesMut};

/// The longest beginning of a line that is held back until the line ends.
const LONGEST: usize = 1024 * 1024;

/// Holds back the beginning of a line until its end has come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: BytesMut,
}

impl Lines {
    /// All complete lines so far that were not given yet, if any. Nothing is added and nothing is lost.
    pub(super) fn push(&mut self, mut bytes: Bytes) -> Option<Bytes> {
        let complete = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => bytes.split_to(newline + 1),
            None if self.pending.len() + bytes.len() > LONGEST => std::mem::take(&mut bytes),
            None => Bytes::new(),
        };
        let whole = if complete.is_empty() || self.pending.is_empty() {
            complete
        } else {
            let mut whole = std::mem::take(&mut self.pending);
            whole.extend_from_slice(&complete);
            whole.freeze()
        };
        self.pending.extend_from_slice(&bytes);
        (!whole.is_empty()).then_some(whole)
    }

    /// What stands behind the last line end, if anything.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        let rest = std::mem::take(&mut self.pending).freeze();
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_complete_lines_come_out_before_the_end() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(Bytes::from_static(b"a")), None);
        assert_eq!(
            lines.push(Bytes::from_static(b"b\nc\nd")).unwrap(),
            &b"ab\nc\n"[..]
        );
        assert_eq!(lines.push(Bytes::from_static(b"\n")).unwrap(), &b"d\n"[..]);
        assert_eq!(lines.finish(), None);
        assert_eq!(lines.push(Bytes::from_static(b"end")), None);
        assert_eq!(lines.finish().unwrap(), &b"end"[..]);
    }

    #[test]
    fn a_line_without_end_is_not_held_back_for_ever() {
        let mut lines = Lines::default();
        let chunk = Bytes::from(vec![b'x'; LONGEST]);
        assert_eq!(lines.push(chunk.clone()), None);
        assert_eq!(lines.push(chunk).unwrap().len(), 2 * LONGEST);
    }

    proptest! {
        #[test]
        fn every_byte_comes_out_once_and_in_order(
            chunks in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..20), 0..20),
        ) {
            let mut lines = Lines::default();
            let mut out = Vec::new();
            for chunk in &chunks {
                if let Some(complete) = lines.push(Bytes::copy_from_slice(chunk)) {
                    prop_assert!(complete.ends_with(b"\n"));
                    out.extend_from_slice(&complete);
                }
            }
            out.extend(lines.finish().unwrap_or_default());
            prop_assert_eq!(out, chunks.concat());
        }
    }
}
