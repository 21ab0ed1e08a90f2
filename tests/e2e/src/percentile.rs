//! Percentiles of what was measured.

/// The smallest of `values` that at least the share `q` of them does not exceed:
/// nearest rank, so it was measured. 0 gives the least, 1 the most; `None`
/// without values.
pub fn percentile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let at = |q| percentile(&values, q).unwrap();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(at), [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[3.0, 9.0, 5.0], 0.5), Some(5.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
