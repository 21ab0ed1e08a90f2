//! Restores: what a client waits for a clone's first answer, next to a bare clone of
//! the same guest.

use hearth_e2e::percentile;
use serde_json::{Value, json};
use std::fmt::Write;

/// Most that the median may be, in that of bare clones.
const P50_RATIO_MAX: f64 = 1.25;
/// Most that the 99th percentile may be.
const P99_RATIO_MAX: f64 = 1.5;
const QUANTILES: [(&str, f64, Option<f64>); 4] = [
    ("min", 0.0, None),
    ("p50", 0.5, Some(P50_RATIO_MAX)),
    ("p90", 0.9, None),
    ("p99", 0.99, Some(P99_RATIO_MAX)),
];

/// All restores, in milliseconds.
#[derive(Default)]
pub(crate) struct Restores {
    bare: Vec<f64>,
    hearth: Vec<f64>,
}

impl Restores {
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

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "\n{} restores, request to answer, in ms\n\n{:18}{:>12}{:>9}{:>9}\n",
            self.bare.len(),
            "",
            "bare clone",
            "Hearth",
            "ratio"
        );
        for (name, quantile, ratio_max) in QUANTILES {
            let [bare, hearth, ratio] = self.at(quantile);
            let verdict = match ratio_max {
                Some(max) if ratio <= max => format!("  at most {max}: met"),
                Some(max) => format!("  at most {max}: NOT MET"),
                None => String::new(),
            };
            let _infallible =
                writeln!(text, "{name:18}{bare:>12.1}{hearth:>9.1}{ratio:>9.2}{verdict}");
        }
        text + "\nA bare clone is a QEMU process that was started beforehand, on a plain local file \
                of\nmemory; it counts from the order to load its state.\n"
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let quantiles = QUANTILES.map(|(name, quantile, ratio_max)| {
            let [bare, hearth, ratio] = self.at(quantile);
            (
                name.to_owned(),
                json!({
                    "bareMs": bare, "hearthMs": hearth, "ratio": ratio, "ratioMax": ratio_max,
                }),
            )
        });
        json!({ "count": self.bare.len(), "quantiles": Value::Object(quantiles.into_iter().collect()) })
    }
}
