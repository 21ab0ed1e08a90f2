//! Chance from a seed, the same on every machine: whole numbers only, since logarithms
//! in floating point differ between libraries.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// ln 2, of 2^32.
const LN_2: u128 = 2_977_044_472;
/// Bits of a logarithm behind the point.
const LOG_BITS: u32 = 24;

impl Random {
    /// Another one, for a part of what this one makes: parts do not depend on how much
    /// chance others used.
    pub(crate) fn part(seed: u64, part: u64) -> Self {
        let mut mixed = Self(seed);
        Self(mixed.next() ^ Self(part).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `least` to `most`, both possible.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        let width = u128::from(most.saturating_sub(least)) + 1;
        let offset = (u128::from(self.next()) * width) >> 64;
        least.saturating_add(offset as u64)
    }

    /// One of them.
    pub(crate) fn one_of(&mut self, choices: &[u64]) -> u64 {
        let last = choices.len().saturating_sub(1) as u64;
        choices.get(self.between(0, last) as usize).copied().unwrap_or_default()
    }

    /// A time between two.
    pub(crate) fn time(&mut self, least: Duration, most: Duration) -> Duration {
        Duration::from_millis(self.between(millis(least), millis(most)))
    }

    /// The wait for what comes at random, on average after `mean`: −ln(u) × mean.
    pub(crate) fn wait(&mut self, mean: Duration) -> Duration {
        let log = u128::from(minus_log2(self.next()));
        let ms = (u128::from(millis(mean)) * log * LN_2) >> (LOG_BITS + 32);
        Duration::from_millis(ms as u64)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// −log2 of a number as a fraction of 2^64, bit by bit: each squaring doubles the
/// logarithm, and an overflow is its next bit.
fn minus_log2(number: u64) -> u64 {
    let zeros = number.leading_zeros().min(63);
    let mut mantissa = (number | 1) << zeros;
    let mut fraction = 0u64;
    for _ in 0..LOG_BITS {
        let square = u128::from(mantissa) * u128::from(mantissa);
        fraction <<= 1;
        if square >> 127 == 1 {
            fraction |= 1;
            mantissa = (square >> 64) as u64;
        } else {
            mantissa = (square >> 63) as u64;
        }
    }
    ((u64::from(zeros) + 1) << LOG_BITS) - fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right() {
        let one = 1u64 << LOG_BITS;
        assert_eq!(minus_log2(1 << 63), one);
        assert_eq!(minus_log2(1 << 62), 2 * one);
        assert!(minus_log2(u64::MAX) <= 1);
        // −log2(3/4) = 0.41503749928
        let wanted = 6_963_174;
        assert!(minus_log2(3 << 62).abs_diff(wanted) < 8, "{}", minus_log2(3 << 62));
        assert!(minus_log2(0) <= 64 * one);
    }

    #[test]
    fn waits_have_the_mean_and_the_spread_they_should() {
        let mut random = Random(7);
        let mean = Duration::from_secs(60);
        let waits: Vec<Duration> = (0..20_000).map(|_| random.wait(mean)).collect();
        let average = waits.iter().sum::<Duration>() / 20_000;
        assert!(average.abs_diff(mean) < Duration::from_secs(2), "{average:?}");
        let longer = waits.iter().filter(|wait| **wait > mean).count();
        // 1/e of 20,000.
        assert!(longer.abs_diff(7358) < 250, "{longer}");
    }

    #[test]
    fn a_choice_is_within_its_bounds_and_reaches_both() {
        let mut random = Random(1);
        let seen: Vec<u64> = (0..200).map(|_| random.between(3, 5)).collect();
        assert!((3..=5).all(|n| seen.contains(&n)) && seen.iter().all(|n| (3..=5).contains(n)));
        assert_eq!(random.one_of(&[]), 0);
        random.between(0, u64::MAX);
    }
}
