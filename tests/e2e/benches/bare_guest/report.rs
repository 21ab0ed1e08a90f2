//! All rounds together, as a table and as JSON.

use crate::restores::Restores;
use crate::round::Round;
use crate::{EXAMPLE, MEMORY_MIB};
use hearth_e2e::percentile;
use hearth_vmm::Isolation;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Most that a cold start may take, in those of a bare guest.
const COLD_RATIO_MAX: f64 = 1.5;

/// One quantity of every round.
struct Row {
    name: &'static str,
    /// Its name in JSON.
    key: &'static str,
    of: fn(&Round) -> f64,
    /// Most that Hearth's median may be, in those of a bare guest.
    ratio_max: Option<f64>,
}

const fn row(name: &'static str, key: &'static str, of: fn(&Round) -> f64) -> Row {
    Row { name, key, of, ratio_max: None }
}

const ROWS: [Row; 7] = [
    row("before the VMM", "beforeVmm", |r| r.before),
    row("boot", "boot", |r| r.boot),
    row("identity", "identity", |r| r.identity),
    row("init", "init", |r| r.init),
    Row { ratio_max: Some(COLD_RATIO_MAX), ..row("cold start", "coldStart", |r| r.cold) },
    row("warm overhead p50", "warmOverheadP50", |r| r.overhead_p50),
    row("warm overhead p99", "warmOverheadP99", |r| r.overhead_p99),
];

/// What was measured.
pub(crate) struct Report {
    isolation: Isolation,
    warm: u32,
    load: f64,
    bare: Vec<Round>,
    hearth: Vec<Round>,
    /// The restores, measured by themselves.
    pub(crate) restores: Restores,
}

/// Least, median and most of one quantity, in milliseconds.
struct Spread([f64; 3]);

impl Spread {
    fn of(rounds: &[Round], quantity: fn(&Round) -> f64) -> Self {
        let values: Vec<f64> = rounds.iter().map(quantity).collect();
        // There is at least one round.
        Self([0.0, 0.5, 1.0].map(|q| percentile(&values, q).unwrap_or(f64::NAN)))
    }

    fn median(&self) -> f64 {
        self.0[1]
    }

    fn cells(&self) -> String {
        self.0.map(|ms| format!("{ms:>9.2}")).concat()
    }

    fn to_json(&self) -> Value {
        // To the microsecond: finer is noise.
        let [min, p50, max] = self.0.map(|ms| (ms * 1e3).round() / 1e3);
        json!({ "min": min, "p50": p50, "max": max })
    }
}

impl Row {
    /// Of a bare guest, of Hearth, and the ratio of the medians where the bare
    /// guest has any.
    fn compare(&self, report: &Report) -> (Spread, Spread, Option<f64>) {
        let (bare, hearth) =
            (Spread::of(&report.bare, self.of), Spread::of(&report.hearth, self.of));
        let ratio = (bare.median() > 0.0).then(|| hearth.median() / bare.median());
        (bare, hearth, ratio)
    }
}

impl Report {
    /// Without rounds.
    pub(crate) fn new(isolation: Isolation, warm: u32, load: f64) -> Self {
        Self {
            isolation,
            warm,
            load,
            bare: Vec::new(),
            hearth: Vec::new(),
            restores: Restores::default(),
        }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, bare: Round, hearth: Round) {
        self.bare.push(bare);
        self.hearth.push(hearth);
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{EXAMPLE}, {MEMORY_MIB} MB, {}: {} rounds, {} warm invokes in each; load {} before; in ms\n\n\
             {:18}{:>27}{:>27}\n{:18}",
            self.isolation,
            self.bare.len(),
            self.warm,
            self.load,
            "",
            "bare guest",
            "Hearth",
            ""
        );
        for column in ["min", "p50", "max", "min", "p50", "max", "ratio"] {
            let _infallible = write!(text, "{column:>9}");
        }
        for row in ROWS {
            let (bare, hearth, ratio) = row.compare(self);
            let verdict = match (row.ratio_max, ratio) {
                (Some(max), Some(ratio)) if ratio <= max => format!("  at most {max}: met"),
                (Some(max), _) => format!("  at most {max}: NOT MET"),
                (None, _) => String::new(),
            };
            let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let (bare, hearth) = (bare.cells(), hearth.cells());
            let _infallible = write!(text, "\n{:18}{bare}{hearth}{ratio:>9}{verdict}", row.name);
        }
        text + "\n\nThe ratio is that of the medians. The cold start ends when the function is \
                initialised;\nthe overhead of a warm invoke is what its caller waits less the \
                function's run,\nhere the percentiles of each round.\n"
            + &self.restores.table()
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let mut rows = Map::new();
        for row in ROWS {
            let (bare, hearth, ratio) = row.compare(self);
            let mut value = json!({
                "bareMs": bare.to_json(), "hearthMs": hearth.to_json(), "ratio": ratio,
            });
            if let Some(max) = row.ratio_max {
                value["ratioMax"] = max.into();
                value["met"] = ratio.is_some_and(|ratio| ratio <= max).into();
            }
            rows.insert(row.key.to_owned(), value);
        }
        json!({
            "function": EXAMPLE,
            "memoryMb": MEMORY_MIB,
            "isolation": self.isolation.as_str(),
            "rounds": self.bare.len(),
            "warmEach": self.warm,
            "loadBefore": self.load,
            "quantities": rows,
            "restores": self.restores.to_json(),
        })
    }
}
