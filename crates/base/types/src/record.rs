//! Which kind of start an invocation had and where its time went. `REPORT` lines,
//! the `Server-Timing` header and `hearth bench` all say it in these types.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the sandbox that served an invocation came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartKind {
    /// It was idle already.
    Warm,
    /// It was resumed from a snapshot for this invocation.
    Restored,
    /// Its function was initialised for this invocation, in a clone of a guest that
    /// waited for one.
    Cold,
    /// It was booted for this invocation, and its function initialised.
    Booted,
}

impl StartKind {
    /// Every kind, the quickest first.
    pub const ALL: [Self; 4] = [Self::Warm, Self::Restored, Self::Cold, Self::Booted];

    /// The word used in headers, tables and graphs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Restored => "restored",
            Self::Cold => "cold",
            Self::Booted => "booted",
        }
    }
}

/// Where an invocation's time went, stage by stage, in the order of the path.
/// A stage that did not happen is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Waiting for a place among the concurrent starts.
    pub queue: Duration,
    /// Assignment's own work: finding an idle sandbox or deciding to start one.
    pub assign: Duration,
    /// Choosing a worker and being admitted by it.
    pub place: Duration,
    /// Bringing images and code to the worker.
    pub fetch: Duration,
    /// Booting or resuming the microVM until its agent speaks.
    pub resume: Duration,
    /// Giving the guest its identity: mounts, clock, entropy, network.
    pub unique: Duration,
    /// Starting the runtime and the function's own initialisation.
    pub init: Duration,
    /// From the event's arrival in the guest to the response's completion
    /// there; what `REPORT` calls Duration.
    pub run: Duration,
}

impl StageTimes {
    /// Stage names and times, in path order.
    pub fn named(&self) -> [(&'static str, Duration); 8] {
        [
            ("queue", self.queue),
            ("assign", self.assign),
            ("place", self.place),
            ("fetch", self.fetch),
            ("resume", self.resume),
            ("unique", self.unique),
            ("init", self.init),
            ("run", self.run),
        ]
    }
}
