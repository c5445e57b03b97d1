//! Faults drawn from a seed.

use std::time::Duration;

use crate::fault::name::{Direction, Fault};

/// An endless list of faults that is the same for the same seed, on every machine: what a chaos test draws from, and
/// prints the seed of, so that a failure can be replayed.
///
/// Every kind of [`Fault`] comes up, with arguments that a test can sit through: up to 1 MiB to drop after or to corrupt
/// in, 16 KiB to 1 MiB a second, 1 to 100 ms.
///
/// ```
/// use sternline_server::fault::{Fault, FaultPlan};
///
/// let drawn: Vec<Fault> = FaultPlan::from_seed(7).take(100).collect();
/// assert!(drawn.iter().copied().eq(FaultPlan::from_seed(7).take(100)));
/// ```
#[derive(Debug, Clone)]
pub struct FaultPlan {
    /// The state of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    state: u64,
}

impl FaultPlan {
    /// The list of this seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number below `bound`, or 0; the same source for whatever else a test draws, when to set a fault for one.
    pub fn draw(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // A test does not mind that a remainder favours small numbers by a hair.
        mixed.checked_rem(bound).unwrap_or(0)
    }

    /// 1 to 1 MiB, small numbers as often as large ones.
    fn bytes(&mut self) -> u64 {
        let magnitude = self.draw(21);
        1 + self.draw(1 << magnitude)
    }
}

impl Iterator for FaultPlan {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        Some(match self.draw(12) {
            0 => Fault::Drop,
            1 => Fault::DropAfter(self.bytes()),
            2 => Fault::Reset,
            3 => Fault::Refuse,
            4 => Fault::BlackHole,
            5 => Fault::Stall,
            6 => Fault::Slow((16 << 10) << self.draw(7)),
            7 => Fault::Latency(Duration::from_millis(1 + self.draw(100))),
            8 => Fault::Corrupt {
                direction: Direction::ToClient,
                byte: self.bytes(),
            },
            9 => Fault::Corrupt {
                direction: Direction::ToServer,
                byte: self.bytes(),
            },
            10 => Fault::TruncateKex,
            _ => Fault::BannerOnly,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults_and_another_seed_others() {
        let drawn = |seed| FaultPlan::from_seed(seed).take(50).collect::<Vec<_>>();
        assert_eq!(drawn(42), drawn(42));
        assert_ne!(drawn(42), drawn(43));
    }

    #[test]
    fn a_seed_means_the_same_in_every_version() {
        // The generator's published first output for seed 0.
        assert_eq!(FaultPlan::from_seed(0).draw(u64::MAX), 0xe220_a839_7b1d_cdaf);
        let names: Vec<String> = FaultPlan::from_seed(1)
            .take(4)
            .map(|fault| fault.to_string())
            .collect();
        assert_eq!(
            names,
            ["stall", "latency:91ms", "banner-only", "corrupt-to-server:2"]
        );
    }

    #[test]
    fn every_kind_comes_up_and_can_be_written_down() {
        let mut kinds: Vec<&str> = Vec::new();
        for fault in FaultPlan::from_seed(3).take(1000) {
            assert_eq!(fault.to_string().parse(), Ok(fault));
            kinds.push(fault.as_str());
        }
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), Fault::NAMES.len(), "{kinds:?}");
    }
}
