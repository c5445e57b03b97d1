//! The module `uuid`: names that nobody else has.

use std::time::{SystemTime, UNIX_EPOCH};

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("uuid", functions);
}

fn random() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("uuid: no random numbers: {error}"))?;
    Ok(bytes)
}

/// With its version and its variant, as RFC 9562 writes it.
fn shown(bytes: [u8; 16], version: u128) -> String {
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xf << 76) & !(0x3 << 62) | (version << 76) | (0x2 << 62);
    let digits = format!("{number:032x}");
    let mut out = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

/// The first 48 bits are the time in milliseconds, so that later ones sort behind earlier ones.
fn with_time(bytes: [u8; 16], millis: u64) -> [u8; 16] {
    let random = u128::from_be_bytes(bytes) & ((1 << 80) - 1);
    (u128::from(millis) << 80 | random).to_be_bytes()
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// A random UUID (version 4).
    fn v4() -> anyhow::Result<String> {
        Ok(shown(random()?, 4))
    }

    /// A random UUID that begins with the time (version 7): later ones sort behind earlier ones.
    fn v7() -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        Ok(shown(with_time(random()?, millis), 7))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_its_variant() {
        assert_eq!(shown([0xff; 16], 4), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(shown([0; 16], 7), "00000000-0000-7000-8000-000000000000");
    }

    #[test]
    fn later_ones_sort_behind_earlier_ones() {
        let earlier = shown(with_time([0xff; 16], 1_000_000), 7);
        let later = shown(with_time([0; 16], 1_000_001), 7);
        assert!(earlier < later && later.starts_with("0000000f-4241-7"), "{later}");
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
