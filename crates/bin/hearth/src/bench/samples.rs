//! What a run gathered: the times of invokes that succeeded, and how often
//! others failed.

use super::SAMPLES_MAX;
use crate::timing::Timing;
use hearth_types::StartKind;
use std::collections::BTreeMap;
use std::time::Duration;

/// All that a run gathered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// Times of the invokes that succeeded.
    pub(crate) timings: Vec<Timing>,
    /// Failures by name, e.g. `TooManyRequestsException`.
    pub(crate) failures: BTreeMap<String, u64>,
    /// How long it all took, updates between cold invokes included.
    pub(crate) elapsed: Duration,
}

/// How one invoke ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// With an answer.
    Answered(Timing),
    /// With this error.
    Failed(String),
}

impl Samples {
    /// Counts one invoke.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(timing) => self.timings.push(timing),
            Outcome::Failed(name) => *self.failures.entry(name).or_default() += 1,
        }
    }

    /// Takes in what another connection gathered.
    pub(crate) fn merge(&mut self, other: Samples) {
        self.timings.extend(other.timings);
        for (name, count) in other.failures {
            *self.failures.entry(name).or_default() += count;
        }
    }

    /// Whether as many invokes were made as may be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.timings.len() as u64 >= SAMPLES_MAX
    }

    /// The times of one kind.
    pub(crate) fn of_kind(&self, kind: StartKind) -> Vec<Timing> {
        self.timings.iter().filter(|t| t.kind == kind).copied().collect()
    }
}
