//! Whether a file has to be moved at all.

/// What tells whether a file is the same at both ends, short of reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// In bytes.
    pub size: u64,
    /// When the content changed last, in whole seconds since 1970: SFTP version 3 knows no finer time. A server need
    /// not tell it.
    pub modified: Option<u32>,
}

/// Whether two regular files are taken for the same by size and time, as rsync(1) does: both must be known and equal.
///
/// A file that keeps its size and is changed within the second of its time is not noticed; only a checksum finds that.
#[must_use]
pub fn is_unchanged(source: Look, target: Look) -> bool {
    source.size == target.size && source.modified.is_some() && source.modified == target.modified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_unchanged_if_size_and_time_are_known_and_equal() {
        for (source, target, unchanged) in [
            ((1, Some(7)), (1, Some(7)), true),
            ((0, Some(0)), (0, Some(0)), true),
            ((1, Some(7)), (2, Some(7)), false),
            // An older file is as good a reason as a newer one: it may have been put back on purpose.
            ((1, Some(7)), (1, Some(8)), false),
            ((1, Some(8)), (1, Some(7)), false),
            ((1, None), (1, None), false),
            ((1, Some(7)), (1, None), false),
            ((1, None), (1, Some(7)), false),
        ] {
            let look = |(size, modified)| Look { size, modified };
            assert_eq!(
                is_unchanged(look(source), look(target)),
                unchanged,
                "{source:?} {target:?}"
            );
        }
    }
}
