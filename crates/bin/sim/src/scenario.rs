//! What is simulated.

use std::fmt;
use std::str::FromStr;

/// What happens beside the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Steady,
    /// From half of the time on all workers of a zone are dead; after three quarters of it
    /// new ones can be started there.
    ZoneLoss,
    /// At half of the time fifty functions are called a lot for two minutes.
    FlashCrowd,
    /// At half of the time all workers are out of date.
    RollingRestarts,
    /// At half of the time the leaders of all partitions are gone: half of them were
    /// killed, half hang and wake up when others have taken over.
    LeaderLoss,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Steady, Self::ZoneLoss, Self::FlashCrowd, Self::RollingRestarts, Self::LeaderLoss];

    fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::ZoneLoss => "zone-loss",
            Self::FlashCrowd => "flash-crowd",
            Self::RollingRestarts => "rolling-restarts",
            Self::LeaderLoss => "leader-loss",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such scenario: use steady, zone-loss, flash-crowd, rolling-restarts or leader-loss")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

/// Bounds of what one machine simulates in a day: ten times the fleet that this is for.
const WORKERS_MAX: u32 = 100_000;
const FUNCTIONS_MAX: u32 = 10_000_000;
/// A week: what traces know of.
const MINUTES_MAX: u32 = 7 * 24 * 60;
/// No provider has more in a region.
const ZONES_MAX: u16 = 16;
/// A worker should hold the largest function, and may be as large as machines are.
const WORKER_MIB: std::ops::RangeInclusive<u64> = 1_536..=16 * 1024 * 1024;

/// A scenario cannot be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// None, or too many.
    #[error("simulate 1 to {WORKERS_MAX} workers")]
    Workers,
    /// None, or too many.
    #[error("simulate 1 to {FUNCTIONS_MAX} functions")]
    Functions,
    /// No time, or too long.
    #[error("simulate 1 to {MINUTES_MAX} minutes")]
    Minutes,
    /// None, too many, or more than workers.
    #[error("simulate 1 to {ZONES_MAX} zones, with a worker in each")]
    Zones,
    /// Too small or too large.
    #[error("give a worker {} to {} MiB", WORKER_MIB.start(), WORKER_MIB.end())]
    WorkerMemory,
}

/// A run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What happens.
    pub kind: Kind,
    /// Workers in the beginning. Sizing may have half as many to half as many more.
    pub workers: u32,
    /// Functions, most of them called rarely.
    pub functions: u32,
    /// How long. What happens in the first quarter is not counted in what is reported:
    /// no sandbox is there in the beginning.
    pub minutes: u32,
    /// Zones that the workers are shared among.
    pub zones: u16,
    /// Memory of a worker for sandboxes.
    pub worker_mib: u64,
}

impl Scenario {
    /// With so many of each, in three zones.
    pub fn new(kind: Kind, workers: u32, functions: u32, minutes: u32) -> Self {
        Self { kind, workers, functions, minutes, zones: 3, worker_mib: 8 * 1024 }
    }

    /// Whether it can be run.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let within = |is: bool, otherwise| if is { Ok(()) } else { Err(otherwise) };
        let zones = 1..=ZONES_MAX;
        let has_zones = zones.contains(&self.zones) && u32::from(self.zones) <= self.workers;
        within((1..=WORKERS_MAX).contains(&self.workers), OutOfBounds::Workers)?;
        within((1..=FUNCTIONS_MAX).contains(&self.functions), OutOfBounds::Functions)?;
        within((1..=MINUTES_MAX).contains(&self.minutes), OutOfBounds::Minutes)?;
        within(has_zones, OutOfBounds::Zones)?;
        within(WORKER_MIB.contains(&self.worker_mib), OutOfBounds::WorkerMemory)
    }

    pub(crate) fn end_ms(&self) -> u64 {
        u64::from(self.minutes) * 60_000
    }

    pub(crate) fn counted_from_ms(&self) -> u64 {
        self.end_ms() / 4
    }

    pub(crate) fn happens_ms(&self) -> u64 {
        self.end_ms() / 2
    }

    pub(crate) fn over_ms(&self) -> u64 {
        self.end_ms() / 4 * 3
    }
}
