//! MD5, for old lists of checksums: anybody can make two contents with the same one. By RFC 1321.

/// How far each step turns its word, for the four steps of each round in turn.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The MD5 of some bytes.
pub(super) fn md5(data: &[u8]) -> [u8; 16] {
    let mut padded = data.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = (data.len() as u64).wrapping_mul(8);
    padded.extend(bits.to_le_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        let words: Vec<u32> = block
            .chunks_exact(4)
            .map(|bytes| {
                bytes
                    .iter()
                    .rev()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte))
            })
            .collect();
        let mixed = mix(state, &words);
        for (word, more) in state.iter_mut().zip(mixed) {
            *word = word.wrapping_add(more);
        }
    }
    let mut out = [0; 16];
    for (byte, value) in out
        .iter_mut()
        .zip(state.iter().flat_map(|word| word.to_le_bytes()))
    {
        *byte = value;
    }
    out
}

fn mix(state: [u32; 4], words: &[u32]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    for step in 0..64_usize {
        let (chosen, place) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step),
        };
        let turn = TURNS
            .get(step / 16)
            .and_then(|turns| turns.get(step % 4))
            .copied()
            .unwrap_or(0);
        // The constant of the step is 2^32 times the sine of its number from 1, without its sign.
        let constant = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
        let word = words.get(place % 16).copied().unwrap_or(0);
        let sum = a.wrapping_add(chosen).wrapping_add(constant).wrapping_add(word);
        (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(turn)));
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::md5;

    #[test]
    fn it_is_what_the_rfc_says() {
        for (text, sum) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(
                data_encoding::HEXLOWER.encode(&md5(text.as_bytes())),
                sum,
                "{text}"
            );
        }
    }
}
