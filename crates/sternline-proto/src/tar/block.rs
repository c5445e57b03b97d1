//! One block of 512 bytes: where its fields are, and how numbers stand in them.

use super::error::TarError;

/// Headers take a block, and data is filled up to whole ones.
pub(super) const BLOCK: usize = 512;

/// Where a field is: its offset and its length.
pub(super) type Field = (usize, usize);

pub(super) const NAME: Field = (0, 100);
pub(super) const MODE: Field = (100, 8);
pub(super) const UID: Field = (108, 8);
pub(super) const GID: Field = (116, 8);
pub(super) const SIZE: Field = (124, 12);
pub(super) const MTIME: Field = (136, 12);
pub(super) const CHECKSUM: Field = (148, 8);
pub(super) const TYPE: Field = (156, 1);
pub(super) const MAGIC: Field = (257, 8);
pub(super) const PREFIX: Field = (345, 155);

/// What stands in [`MAGIC`]: the format and its version. GNU tar's own format has spaces there, and no prefix.
pub(super) const USTAR: &[u8; 8] = b"ustar\x0000";

/// The type of a header whose data is the name of the next one, too long for a header.
pub(super) const GNU_LONG_NAME: u8 = b'L';

/// How many bytes follow the data up to the next header.
pub(super) fn padding(size: usize) -> usize {
    size.next_multiple_of(BLOCK) - size
}

/// The sum of all bytes, with spaces in place of the sum itself. Old tars took bytes for signed numbers.
pub(super) fn checksums(block: &[u8]) -> (i64, i64) {
    let (start, length) = CHECKSUM;
    let mut sums = (0, 0);
    for (position, byte) in block.iter().enumerate() {
        let is_sum = (start..start + length).contains(&position);
        let byte = if is_sum { b' ' } else { *byte };
        sums.0 += i64::from(byte);
        sums.1 += i64::from(byte.cast_signed());
    }
    sums
}

pub(super) fn field(block: &[u8], (start, length): Field) -> &[u8] {
    block.get(start..start + length).unwrap_or_default()
}

/// A text: up to the first zero byte.
pub(super) fn text(block: &[u8], at: Field) -> &[u8] {
    let field = field(block, at);
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number: octal digits between spaces and zero bytes, or, where the first bit says so, in base 256 (GNU).
pub(super) fn number(block: &[u8], at: Field) -> Result<i64, TarError> {
    let field = field(block, at);
    let malformed = TarError::Malformed {
        what: "a number that is none, or too large",
    };
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // Two's complement, with the first bit being the mark; the second one is the sign.
        let first = if first & 0x40 != 0 { *first } else { first & 0x7f };
        let start = i64::from(first.cast_signed());
        return rest
            .iter()
            .try_fold(start, |number, byte| {
                number.checked_mul(256)?.checked_add(i64::from(*byte))
            })
            .ok_or(malformed);
    }
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().take_while(|byte| is_padding(byte)).count();
    let digits = field.get(start..).unwrap_or_default();
    let end = digits.iter().position(is_padding).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).unwrap_or_default();
    let number = digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    });
    match number {
        Some(number) if rest.iter().all(is_padding) => Ok(number),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_in_base_256() {
        for (text, number) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"    644 ", Some(0o644)),
            (b"644\0\0\0\0\0", Some(0o644)),
            (b"77777777", Some(0o7777_7777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"\x80\0\0\0\0\0\x01\x02", Some(258)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\xff\0\0\0\0\0\0\0", Some(-(1 << 56))),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff", Some((1 << 56) - 1)),
            (b"0000648\0", None),
            (b"12 34   ", None),
            (b"-1      ", None),
            (b"0x12    ", None),
        ] {
            let mut block = [0; BLOCK];
            block[MODE.0..MODE.0 + 8].copy_from_slice(text);
            assert_eq!(number_of(&block), number, "{text:?}");
        }
        fn number_of(block: &[u8]) -> Option<i64> {
            number(block, MODE).ok()
        }
        let mut block = [0xff; BLOCK];
        block[SIZE.0] = 0x80;
        assert!(number(&block, SIZE).is_err(), "more than 64 bits");
        block[SIZE.0] = 0xff;
        assert_eq!(number(&block, SIZE), Ok(-1));
    }

    #[test]
    fn the_room_behind_data_fills_its_last_block() {
        for (size, room) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(size), room);
        }
    }
}
