//! The result of a run: how the times of each kind are distributed, stage by
//! stage.

use super::samples::Samples;
use super::stats::Summary;
use crate::timing::{Timing, milliseconds};
use hearth_types::StartKind;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What was run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setup {
    /// The function.
    pub(crate) function: String,
    /// Invokes at once.
    pub(crate) concurrency: usize,
    /// Whether invokes were made to start cold: all, or one before each
    /// `warm_each` others.
    pub(crate) forced_cold: bool,
    /// Warm invokes after each that was made to start cold.
    pub(crate) warm_each: u64,
    /// Bytes of the event.
    pub(crate) payload_bytes: usize,
    /// When it was run.
    pub(crate) date: String,
}

/// The result.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) setup: Setup,
    /// Only kinds that happened, fastest first.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) elapsed_s: f64,
    pub(crate) per_second: f64,
}

/// All invokes of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) kind: StartKind,
    /// Name and distribution of each stage that took any time, then total and
    /// overhead.
    pub(crate) stages: Vec<(&'static str, Summary)>,
    /// Every total, in milliseconds.
    pub(crate) totals: Vec<f64>,
}

impl Report {
    /// Sums up the samples.
    pub(crate) fn new(setup: Setup, samples: &Samples) -> Self {
        let kinds = StartKind::ALL
            .into_iter()
            .filter_map(|kind| Kind::new(kind, &samples.of_kind(kind)))
            .collect();
        let elapsed_s = samples.elapsed.as_secs_f64();
        let per_second = match elapsed_s > 0.0 {
            true => samples.timings.len() as f64 / elapsed_s,
            false => 0.0,
        };
        Self { setup, kinds, failures: samples.failures.clone(), elapsed_s, per_second }
    }

    /// Invokes that were answered.
    pub(crate) fn answered(&self) -> usize {
        self.kinds.iter().map(|k| k.totals.len()).sum()
    }

    /// How cold starts were forced, as the end of a clause; empty if they were
    /// not.
    pub(crate) fn forcing(&self) -> String {
        match (self.setup.forced_cold, self.setup.warm_each) {
            (false, _) => String::new(),
            (true, 0) => ", cold starts forced".to_owned(),
            (true, warm) => format!(", cold starts forced, {warm} warm after each"),
        }
    }

    /// As one JSON document; times in milliseconds.
    pub(crate) fn to_json(&self) -> anyhow::Result<Value> {
        let mut kinds = Map::new();
        for kind in &self.kinds {
            let mut stages = Map::new();
            for (name, summary) in &kind.stages {
                stages.insert((*name).to_owned(), serde_json::to_value(summary)?);
            }
            let value = serde_json::json!({ "count": kind.totals.len(), "stagesMs": stages });
            kinds.insert(kind.kind.as_str().to_owned(), value);
        }
        Ok(serde_json::json!({
            "setup": self.setup,
            "answered": self.answered(),
            "failures": self.failures,
            "elapsedS": self.elapsed_s,
            "perSecond": self.per_second,
            "kinds": kinds,
        }))
    }
}

impl Kind {
    fn new(kind: StartKind, timings: &[Timing]) -> Option<Self> {
        let first = timings.first()?;
        let names: Vec<_> = first.named().map(|(name, _)| name).collect();
        let stages = names.iter().enumerate().filter_map(|(at, name)| {
            let values: Vec<f64> = timings
                .iter()
                .filter_map(|t| t.named().nth(at))
                .map(|(_, t)| milliseconds(t))
                .collect();
            values.iter().any(|v| *v > 0.0).then(|| (*name, Summary::of(&values)))
        });
        let stages = stages.collect();
        let totals = timings.iter().map(|t| milliseconds(t.total)).collect();
        Some(Self { kind, stages, totals })
    }

    /// The distribution of one stage; all zero if it never took any time.
    pub(crate) fn stage(&self, name: &str) -> Summary {
        self.stages.iter().find(|(n, _)| *n == name).map(|(_, s)| *s).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hearth_types::StageTimes;
    use std::time::Duration;

    /// A report with some of every kind, for the tests of what renders it.
    pub(crate) fn example() -> Report {
        let mut samples = Samples { elapsed: Duration::from_secs(2), ..Samples::default() };
        let mut add = |kind, count: u64, total_us: u64, init_us: u64| {
            for i in 0..count {
                let total = Duration::from_micros(total_us + i * total_us / 50);
                let run = Duration::from_micros(total_us / 2);
                let init = Duration::from_micros(init_us);
                let stages = StageTimes { run, init, ..StageTimes::default() };
                samples.timings.push(Timing { kind, stages, total });
            }
        };
        add(StartKind::Warm, 100, 1_000, 0);
        add(StartKind::Restored, 20, 60_000, 0);
        add(StartKind::Cold, 5, 2_000_000, 900_000);
        samples.failures.insert("TooManyRequestsException".into(), 3);
        let setup = Setup {
            function: "hello".into(),
            concurrency: 4,
            forced_cold: false,
            warm_each: 0,
            payload_bytes: 2,
            date: "2026-01-31T12:00:00.000Z".into(),
        };
        Report::new(setup, &samples)
    }

    #[test]
    fn kinds_are_kept_apart() {
        let report = example();
        let counts: Vec<_> = report.kinds.iter().map(|k| (k.kind, k.totals.len())).collect();
        assert_eq!(
            counts,
            [(StartKind::Warm, 100), (StartKind::Restored, 20), (StartKind::Cold, 5)]
        );
        assert_eq!(report.answered(), 125);
        assert_eq!(report.per_second, 62.5);
    }

    #[test]
    fn overhead_is_total_less_run_and_idle_stages_are_left_out() {
        let report = example();
        let warm = &report.kinds[0];
        assert_eq!(warm.stage("run").p50, 0.5);
        assert!((warm.stage("overhead").p50 - (warm.stage("total").p50 - 0.5)).abs() < 1e-9);
        assert!(warm.stages.iter().all(|(name, _)| *name != "init"));
        assert_eq!(report.kinds[2].stage("init").max, 900.0);
    }

    #[test]
    fn json_has_every_kind_and_unit() {
        let json = example().to_json().unwrap();
        assert_eq!(json["kinds"]["cold"]["count"], 5);
        assert_eq!(json["kinds"]["cold"]["stagesMs"]["init"]["p50"], 900.0);
        assert_eq!(json["failures"]["TooManyRequestsException"], 3);
        assert_eq!(json["setup"]["concurrency"], 4);
    }
}
