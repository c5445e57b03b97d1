//! How long to wait before a connection is tried again.

use std::time::Duration;

use thiserror::Error;

/// With jitter, the longest delay is this many times the shortest.
const MAX_JITTER: f64 = 1.25;

/// How often a failed connection is tried again, and how long each wait before it lasts.
///
/// The waits grow exponentially from [`RetryPolicy::base_delay`] to [`RetryPolicy::max_delay`]. The fields may be set
/// freely; [`RetryPolicy::check`] says whether they make sense together, and whoever takes a policy calls it.
///
/// ```
/// use std::time::Duration;
/// use sternline_proto::backoff::RetryPolicy;
///
/// let policy = RetryPolicy { max_retries: 5, base_delay: Duration::from_secs(2), ..RetryPolicy::default() };
/// policy.check()?;
/// assert_eq!(policy.calculate_delay(0, 0.0), Duration::from_secs(2));
/// assert_eq!(policy.calculate_delay(100, 0.0), Duration::from_secs(60));
/// # Ok::<(), sternline_proto::backoff::RetryPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// How many more attempts follow the first one. Default 3; 0 means that a failure is final.
    pub max_retries: u32,
    /// The wait before the first retry. Default 1 second; must not be zero.
    pub base_delay: Duration,
    /// No wait is longer, jitter included. Default 60 seconds; must not be shorter than `base_delay`.
    pub max_delay: Duration,
    /// Each wait is this many times the one before. Default 2; must be finite and at least 1.
    pub exponential_base: f64,
    /// Whether each wait is lengthened by a random share of up to a quarter, so that many clients that lost one
    /// server do not all come back in the same instant. Default true.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 3,
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            exponential_base: 2.0,
            jitter: true,
        }
    }
}

/// Why the numbers of a [`RetryPolicy`] make no sense.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RetryPolicyError {
    /// Retrying without any wait would keep a processor and the network busy.
    #[error("base_delay must be longer than zero")]
    ZeroBaseDelay,
    /// The cap lies below the first wait.
    #[error("max_delay ({max_delay:?}) must not be shorter than base_delay ({base_delay:?})")]
    MaxBelowBase {
        /// The first wait.
        base_delay: Duration,
        /// The cap.
        max_delay: Duration,
    },
    /// The waits would shrink, or the number is infinite or no number.
    #[error("exponential_base ({exponential_base}) must be a finite number of at least 1")]
    ExponentialBase {
        /// The base as given.
        exponential_base: f64,
    },
}

impl RetryPolicy {
    /// Whether the fields make sense together.
    ///
    /// # Errors
    /// The first rule that is broken, as a [`RetryPolicyError`].
    pub fn check(&self) -> Result<(), RetryPolicyError> {
        if self.base_delay.is_zero() {
            return Err(RetryPolicyError::ZeroBaseDelay);
        }
        if self.max_delay < self.base_delay {
            return Err(RetryPolicyError::MaxBelowBase {
                base_delay: self.base_delay,
                max_delay: self.max_delay,
            });
        }
        if !self.exponential_base.is_finite() || self.exponential_base < 1.0 {
            return Err(RetryPolicyError::ExponentialBase {
                exponential_base: self.exponential_base,
            });
        }
        Ok(())
    }

    /// The wait before retry number `attempt`, counted from 0.
    ///
    /// It is `base_delay * exponential_base ^ attempt`, with jitter times a factor between 1 and 1.25, and never more
    /// than `max_delay`: the cap is applied last. `random` chooses the factor: a number from 0 to 1, uniformly
    /// distributed, that the caller draws for each call. A number outside is moved to the nearer end. Without jitter
    /// it is not looked at. No attempt is too high: what cannot be calculated is the cap.
    #[must_use]
    pub fn calculate_delay(&self, attempt: u32, random: f64) -> Duration {
        let factor = if self.jitter {
            1.0 + (MAX_JITTER - 1.0) * random.clamp(0.0, 1.0)
        } else {
            1.0
        };
        let seconds = self.base_delay.as_secs_f64() * self.exponential_base.powf(f64::from(attempt)) * factor;
        Duration::try_from_secs_f64(seconds).map_or(self.max_delay, |delay| delay.min(self.max_delay))
    }

    /// A wait of any length up to that of [`RetryPolicy::calculate_delay`] without jitter: `random` times as long.
    ///
    /// For many clients that one server turned away in the same instant: spread over the whole wait they come back one
    /// after the other, and not all at its end.
    #[must_use]
    pub fn full_jitter_delay(&self, attempt: u32, random: f64) -> Duration {
        let level = Self {
            jitter: false,
            ..self.clone()
        };
        let longest = level.calculate_delay(attempt, 0.0);
        let seconds = longest.as_secs_f64() * random.clamp(0.0, 1.0);
        Duration::try_from_secs_f64(seconds).map_or(longest, |delay| delay.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn without_jitter() -> RetryPolicy {
        RetryPolicy {
            jitter: false,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.max_retries, 3);
        assert_eq!(policy.base_delay, Duration::from_secs(1));
        assert_eq!(policy.max_delay, Duration::from_secs(60));
        assert_eq!(policy.exponential_base.to_bits(), 2.0_f64.to_bits());
        assert!(policy.jitter);
        assert_eq!(policy.check(), Ok(()));
    }

    #[test]
    fn the_delay_doubles_from_one_second_to_the_cap() {
        let delays: Vec<u64> = (0..8)
            .map(|attempt| without_jitter().calculate_delay(attempt, 0.9).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn jitter_lengthens_a_delay_by_up_to_a_quarter_and_the_cap_comes_after_it() {
        let policy = RetryPolicy::default();
        for (attempt, random, milliseconds) in [
            (0, 0.0, 1_000),
            (0, 0.5, 1_125),
            (0, 1.0, 1_250),
            (3, 1.0, 10_000),
            (5, 0.0, 32_000),
            (5, 1.0, 40_000),
            (6, 0.0, 60_000),
            (6, 1.0, 60_000),
        ] {
            assert_eq!(
                policy.calculate_delay(attempt, random).as_millis(),
                milliseconds,
                "attempt {attempt}, random {random}"
            );
        }
    }

    #[test]
    fn full_jitter_spreads_the_attempts_over_the_whole_wait() {
        let policy = RetryPolicy::default();
        for (attempt, random, milliseconds) in [
            (0, 0.0, 0),
            (0, 0.5, 500),
            (3, 1.0, 8_000),
            (3, 7.0, 8_000),
            (u32::MAX, 0.5, 30_000),
        ] {
            assert_eq!(
                policy.full_jitter_delay(attempt, random).as_millis(),
                milliseconds
            );
        }
        assert_eq!(policy.full_jitter_delay(3, f64::NAN).as_millis(), 8_000);
    }

    #[test]
    fn an_attempt_far_beyond_what_can_be_calculated_waits_for_the_cap() {
        for attempt in [100, 2_000, u32::MAX] {
            assert_eq!(
                RetryPolicy::default().calculate_delay(attempt, 0.5),
                Duration::from_secs(60)
            );
        }
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused_with_the_rule_that_it_breaks() {
        let ok = without_jitter();
        for (policy, words) in [
            (
                RetryPolicy {
                    base_delay: Duration::ZERO,
                    ..ok.clone()
                },
                "base_delay must be longer than zero",
            ),
            (
                RetryPolicy {
                    max_delay: Duration::from_millis(999),
                    ..ok.clone()
                },
                "max_delay (999ms) must not be shorter than base_delay (1s)",
            ),
            (
                RetryPolicy {
                    exponential_base: 0.99,
                    ..ok.clone()
                },
                "exponential_base (0.99) must be a finite number of at least 1",
            ),
            (
                RetryPolicy {
                    exponential_base: f64::NAN,
                    ..ok.clone()
                },
                "exponential_base (NaN) must be a finite number of at least 1",
            ),
            (
                RetryPolicy {
                    exponential_base: f64::INFINITY,
                    ..ok.clone()
                },
                "exponential_base (inf) must be a finite number of at least 1",
            ),
        ] {
            assert_eq!(policy.check().unwrap_err().to_string(), words);
        }
        let level = RetryPolicy {
            max_retries: 0,
            max_delay: Duration::from_secs(1),
            exponential_base: 1.0,
            ..ok
        };
        assert_eq!(level.check(), Ok(()));
    }

    proptest! {
        #[test]
        fn a_checked_policy_keeps_every_delay_between_its_base_and_its_cap(
            base in 1_u64..100_000,
            more in 0_u64..1_000_000,
            exponential_base in 1.0..10.0_f64,
            jitter: bool,
            attempt: u32,
            random: f64,
        ) {
            let policy = RetryPolicy {
                max_retries: 3,
                base_delay: Duration::from_millis(base),
                max_delay: Duration::from_millis(base + more),
                exponential_base,
                jitter,
            };
            prop_assert_eq!(policy.check(), Ok(()));
            let delay = policy.calculate_delay(attempt, random);
            prop_assert!(delay >= policy.base_delay && delay <= policy.max_delay, "{delay:?}");
        }

        #[test]
        fn no_numbers_at_all_make_it_panic(
            base: u64, cap: u64, exponential_base: f64, jitter: bool, attempt: u32, random: f64,
        ) {
            let policy = RetryPolicy {
                max_retries: u32::MAX,
                base_delay: Duration::from_secs(base),
                max_delay: Duration::from_secs(cap),
                exponential_base,
                jitter,
            };
            let _ = policy.check();
            prop_assert!(policy.calculate_delay(attempt, random) <= policy.max_delay);
            prop_assert!(policy.full_jitter_delay(attempt, random) <= policy.max_delay);
        }
    }
}
