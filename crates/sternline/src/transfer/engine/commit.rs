//! What a new file is to be like, and who may have it.

use sternline_proto::sftp::Owner;

use crate::transfer::place::{Change, Meta};
use crate::transfer::request::Options;

/// The bits that say who may do what, without those that lend rights.
const RIGHTS: u32 = 0o777;

/// What a file gets whose source says nothing.
const USUAL: u32 = 0o666;

/// Which permission bits a file gets that takes its place. `None`: those of the source less the umask.
pub(super) fn wanted_mode(options: &Options, source: &Meta, existing: Option<&Meta>) -> Option<u32> {
    let kept = options.preserve.then_some(source.mode).flatten();
    let existing = existing.and_then(|existing| existing.mode);
    // Rights that the old content was lent are not lent to the new one, except by whoever asks for it.
    options.mode.or(kept).or(existing.map(|mode| mode & RIGHTS))
}

/// The permission bits of a source's copy where nothing else decides, before the umask.
pub(super) fn usual_mode(source: &Meta) -> u32 {
    source.mode.map_or(USUAL, |mode| mode & RIGHTS)
}

/// What is set on a file before it takes its place.
pub(super) fn change(options: &Options, source: &Meta, existing: Option<&Meta>, mode: Option<u32>) -> Change {
    let owner: Option<Owner> = existing.and_then(|existing| existing.owner);
    Change {
        mode,
        times: options.preserve.then_some(source.times).flatten(),
        owner,
    }
}

/// Whether a file needs no copying: it has the size and, to the second, the modification time of its source.
pub(super) fn looks_unchanged(source: &Meta, existing: &Meta) -> bool {
    let time = |meta: &Meta| meta.times.map(|times| times.mtime);
    source.size == existing.size && time(source).is_some() && time(source) == time(existing)
}

#[cfg(test)]
mod tests {
    use sternline_proto::sftp::Times;

    use super::*;
    use crate::transfer::place::Kind;

    fn meta(mode: u32, size: u64, mtime: u32) -> Meta {
        Meta {
            kind: Kind::File,
            size,
            mode: Some(mode),
            times: Some(Times { atime: 1, mtime }),
            owner: Some(Owner { uid: 7, gid: 8 }),
            sparse: false,
        }
    }

    #[test]
    fn the_mode_is_what_was_asked_for_then_what_is_kept_then_what_was_there() {
        let plain = Options::default();
        let preserving = Options {
            preserve: true,
            ..Options::default()
        };
        let asking = Options {
            preserve: true,
            mode: Some(0o640),
            ..Options::default()
        };
        let source = meta(0o4755, 1, 1);
        let existing = meta(0o2600, 1, 1);
        for (options, existing, expected) in [
            (&plain, None, None),
            (&plain, Some(&existing), Some(0o600)),
            (&preserving, None, Some(0o4755)),
            (&preserving, Some(&existing), Some(0o4755)),
            (&asking, Some(&existing), Some(0o640)),
        ] {
            assert_eq!(wanted_mode(options, &source, existing), expected);
        }
        assert_eq!(usual_mode(&source), 0o755);
    }

    #[test]
    fn the_owner_of_the_old_file_stays_and_times_come_from_the_source() {
        let preserving = Options {
            preserve: true,
            ..Options::default()
        };
        let source = meta(0o644, 1, 99);
        let existing = meta(0o644, 1, 1);
        let change_to = change(&preserving, &source, Some(&existing), Some(0o644));
        assert_eq!(change_to.owner, existing.owner);
        assert_eq!(change_to.times, source.times);
        assert!(change(&Options::default(), &source, None, None).is_nothing());
    }

    #[test]
    fn a_file_is_unchanged_only_if_size_and_time_agree_and_are_known() {
        let source = meta(0o644, 10, 99);
        assert!(looks_unchanged(&source, &meta(0o600, 10, 99)));
        assert!(!looks_unchanged(&source, &meta(0o644, 11, 99)));
        assert!(!looks_unchanged(&source, &meta(0o644, 10, 98)));
        let unknown = Meta {
            times: None,
            ..source
        };
        assert!(!looks_unchanged(&unknown, &unknown));
    }
}
