//! Statistics of latencies, in milliseconds. Pure.

use serde::Serialize;

/// What is told of a set of latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

impl Summary {
    /// Of these values; all zero if there are none.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(&max) = sorted.last() else { return Self::default() };
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        let at = |q| percentile(&sorted, q);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max, mean }
    }
}

/// The smallest value that at least the share `q` of all values do not exceed
/// (nearest rank, so it is a value that was measured). `sorted` is not empty.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// A range on a logarithmic scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogScale {
    low: f64,
    decades: f64,
}

impl LogScale {
    /// Smallest value that is told apart: 10 µs.
    const FLOOR_MS: f64 = 0.01;

    /// The smallest scale from one of 1, 2, 5 × 10ⁿ to another that holds all
    /// values. `None` without values.
    pub(crate) fn around(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values {
            low = low.min(value.max(Self::FLOOR_MS));
            high = high.max(value.max(Self::FLOOR_MS));
        }
        if low > high {
            return None;
        }
        let low = round_numbers(low / 10.0, low).last().unwrap_or(low);
        let high = round_numbers(high * 1.000_001, high * 10.0).next().unwrap_or(high * 2.0);
        Some(Self { low, decades: (high / low).log10() })
    }

    /// Where a value lies, from 0 to 1.
    pub(crate) fn position(&self, value: f64) -> f64 {
        ((value.max(Self::FLOOR_MS) / self.low).log10() / self.decades).clamp(0.0, 1.0)
    }

    /// 1, 2, 5 × 10ⁿ within the scale.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let high = self.low * 10_f64.powf(self.decades);
        round_numbers(self.low * 0.999_999, high * 1.000_001).collect()
    }

    /// How many values lie in each of `bins` equal parts of the scale.
    pub(crate) fn histogram(&self, values: &[f64], bins: usize) -> Vec<u64> {
        let mut counts = vec![0; bins];
        for &value in values {
            let bin = (self.position(value) * bins as f64) as usize;
            counts[bin.min(bins - 1)] += 1;
        }
        counts
    }
}

/// 1, 2, 5 × 10ⁿ from `low` to `high`, ascending.
fn round_numbers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    (first..=last)
        .flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(exponent)))
        .filter(move |n| (low..=high).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let summary = Summary::of(&values);
        assert_eq!((summary.p50, summary.p90, summary.p99), (50.0, 90.0, 99.0));
        assert_eq!((summary.max, summary.mean), (100.0, 50.5));
        let one = Summary::of(&[7.0]);
        assert_eq!([one.p50, one.p90, one.p99, one.max, one.mean], [7.0; 5]);
        assert_eq!(Summary::of(&[]), Summary::default());
        // With ten values, nothing short of the largest covers 99 %.
        assert_eq!(Summary::of(&values[..10]).p99, 100.0);
    }

    #[test]
    fn a_scale_ends_on_round_numbers() {
        let scale = LogScale::around([0.3, 70.0]).unwrap();
        let ticks = scale.ticks();
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-6;
        assert!(close(ticks[0], 0.2) && close(*ticks.last().unwrap(), 100.0), "{ticks:?}");
        assert_eq!(scale.position(0.0), 0.0);
        assert_eq!(scale.position(1e9), 1.0);
        assert!((scale.position(0.2 * 500_f64.sqrt()) - 0.5).abs() < 1e-9);
        assert_eq!(LogScale::around([]), None);
    }

    #[test]
    fn a_single_value_has_a_scale_around_it() {
        for value in [0.0, 0.01, 1.0, 9.99, 5000.0] {
            let scale = LogScale::around([value]).unwrap();
            assert!((0.0..1.0).contains(&scale.position(value)), "{value}: {scale:?}");
            assert!(scale.ticks().len() >= 2, "{value}: {:?}", scale.ticks());
        }
    }

    #[test]
    fn every_value_falls_into_one_bin() {
        let values = [0.0, 0.02, 1.0, 1.0, 10.0, 99.9, 100.0];
        let scale = LogScale::around(values).unwrap();
        let counts = scale.histogram(&values, 30);
        assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
        let at = |value| counts[(scale.position(value) * 30.0) as usize];
        assert_eq!(at(1.0), 2);
    }
}
