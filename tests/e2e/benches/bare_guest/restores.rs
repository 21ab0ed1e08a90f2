//! Restores: what a client waits for a clone's first answer, next to a bare clone of
//! the same guest; one alone, and a burst of them at once.

use hearth_e2e::percentile;
use serde_json::{Value, json};
use std::fmt::Write;

/// Most that the median may be, in that of bare clones.
const P50_RATIO_MAX: f64 = 1.25;
/// Most that the 99th percentile may be.
const P99_RATIO_MAX: f64 = 1.5;
/// Clones of a burst.
pub(crate) const BURST: usize = 8;

/// What is asked of a series: a quantile, and the most that Hearth's may be, in that of
/// bare clones.
type Quantile = (&'static str, f64, Option<f64>);
const OF_ONE: &[Quantile] = &[
    ("min", 0.0, None),
    ("p50", 0.5, Some(P50_RATIO_MAX)),
    ("p90", 0.9, None),
    ("p99", 0.99, Some(P99_RATIO_MAX)),
];
const OF_BURSTS: &[Quantile] =
    &[("min", 0.0, None), ("p50", 0.5, Some(P50_RATIO_MAX)), ("max", 1.0, None)];

/// All restores.
pub(crate) struct Restores {
    /// One at a time: until its answer.
    pub(crate) one: Series,
    /// [`BURST`] at once: until the last answer.
    pub(crate) bursts: Series,
}

impl Default for Restores {
    fn default() -> Self {
        Self { one: Series::new(OF_ONE), bursts: Series::new(OF_BURSTS) }
    }
}

impl Restores {
    /// For people.
    pub(crate) fn table(&self) -> String {
        let (one, bursts) = (&self.one, &self.bursts);
        let mut text = String::new();
        one.write(&mut text, &format!("{} restores, request to answer", one.count()));
        let title = format!("{} bursts of {BURST} restores, to the last answer", bursts.count());
        bursts.write(&mut text, &title);
        text + "\nA bare clone is a QEMU process that was started beforehand, on a plain local file \
                of\nmemory; it counts from the order to load its state.\n"
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "one": self.one.to_json(), "bursts": self.bursts.to_json(), "burst": BURST })
    }
}

/// Pairs of times, in milliseconds.
pub(crate) struct Series {
    quantiles: &'static [Quantile],
    bare: Vec<f64>,
    hearth: Vec<f64>,
}

impl Series {
    fn new(quantiles: &'static [Quantile]) -> Self {
        Self { quantiles, bare: vec![], hearth: vec![] }
    }

    fn count(&self) -> usize {
        self.bare.len()
    }

    /// Adds one of each.
    pub(crate) fn add(&mut self, bare: f64, hearth: f64) {
        self.bare.push(bare);
        self.hearth.push(hearth);
    }

    /// Of bare clones, of Hearth's, and the ratio.
    fn at(&self, quantile: f64) -> [f64; 3] {
        let [bare, hearth] = [&self.bare, &self.hearth]
            .map(|values| percentile(values, quantile).unwrap_or(f64::NAN));
        [bare, hearth, hearth / bare]
    }

    fn write(&self, text: &mut String, title: &str) {
        let _infallible = writeln!(
            text,
            "\n{title}, in ms\n\n{:18}{:>12}{:>9}{:>9}",
            "", "bare clone", "Hearth", "ratio"
        );
        for (name, quantile, ratio_max) in self.quantiles {
            let [bare, hearth, ratio] = self.at(*quantile);
            let verdict = match ratio_max {
                Some(max) if ratio <= *max => format!("  at most {max}: met"),
                Some(max) => format!("  at most {max}: NOT MET"),
                None => String::new(),
            };
            let _infallible =
                writeln!(text, "{name:18}{bare:>12.1}{hearth:>9.1}{ratio:>9.2}{verdict}");
        }
    }

    fn to_json(&self) -> Value {
        let quantiles = self.quantiles.iter().map(|(name, quantile, ratio_max)| {
            let [bare, hearth, ratio] = self.at(*quantile);
            let value = json!({
                "bareMs": bare, "hearthMs": hearth, "ratio": ratio, "ratioMax": ratio_max,
            });
            ((*name).to_owned(), value)
        });
        json!({ "count": self.count(), "quantiles": Value::Object(quantiles.collect()) })
    }
}
