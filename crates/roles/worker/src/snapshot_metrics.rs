//! What a worker tells its operator of snapshots.

use hearth_types::StartKind;
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use std::sync::LazyLock;
use std::time::Duration;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

const STARTS: &str = "hearth_worker_starts_total";
const FALLBACKS: &str = "hearth_worker_fallbacks_total";
const TOUCHED: &str = "hearth_worker_clone_pages_total";
const DAMAGED: &str = "hearth_worker_snapshots_damaged_total";
const BUILDS: &str = "hearth_worker_snapshot_builds_total";
const BUILD: &str = "hearth_worker_snapshot_build_seconds";
const BLANKS: &str = "hearth_worker_blanks_total";
const PAGE_SERVER_DEATHS: &str = "hearth_worker_page_server_deaths_total";

/// What a snapshot is of.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Function,
    Layer,
}

impl Of {
    const ALL: [Self; 2] = [Self::Function, Self::Layer];

    fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Layer => "layer",
        }
    }
}

struct Metrics {
    restored: Counter,
    cold: Counter,
    booted: Counter,
    fallbacks: [Counter; 2],
    damaged: [Counter; 2],
    ahead: Counter,
    asked: Counter,
    built: [Counter; 2],
    failed: [Counter; 2],
    build: [Histogram; 2],
    pooled: Counter,
    started: Counter,
    page_server_deaths: Counter,
}

/// Makes them known to the recorder that is installed, at zero.
pub(crate) fn register() {
    Metrics::register();
}

/// A sandbox was started.
pub(crate) fn started(kind: StartKind) {
    match kind {
        StartKind::Restored => METRICS.restored.increment(1),
        StartKind::Cold => METRICS.cold.increment(1),
        StartKind::Booted => METRICS.booted.increment(1),
        // No start at all.
        StartKind::Warm => {}
    }
}

/// A snapshot could not be used for a start.
pub(crate) fn fell_back(from: Of) {
    METRICS.fallbacks[from as usize].increment(1);
}

/// A clone has served its first event, and had so many pages of memory by then.
pub(crate) fn touched(ahead: u64, asked: u64) {
    METRICS.ahead.increment(ahead);
    METRICS.asked.increment(asked);
}

/// A snapshot was found damaged.
pub(crate) fn damaged(of: Of) {
    METRICS.damaged[of as usize].increment(1);
}

/// A snapshot was to be built.
pub(crate) fn built<T, E>(of: Of, result: &Result<T, E>, took: Duration) {
    match result {
        Ok(_) => {
            METRICS.built[of as usize].increment(1);
            METRICS.build[of as usize].record(took);
        }
        Err(_) => METRICS.failed[of as usize].increment(1),
    }
}

/// A VMM without a guest was wanted.
pub(crate) fn blank(from_pool: bool) {
    match from_pool {
        true => METRICS.pooled.increment(1),
        false => METRICS.started.increment(1),
    }
}

/// A page server died.
pub(crate) fn page_server_died() {
    METRICS.page_server_deaths.increment(1);
}

impl Metrics {
    fn register() -> Self {
        describe_counter!(
            STARTS,
            Unit::Count,
            "Sandboxes that were started: `restored` from the function's snapshot, `cold` in a \
             clone of its runtime's, or `booted`"
        );
        describe_counter!(
            FALLBACKS,
            Unit::Count,
            "Starts that a snapshot (of the `function`, or of the `layer` that it runs on) could \
             not be used for, so that they took a longer way: see the log"
        );
        describe_counter!(
            TOUCHED,
            Unit::Count,
            "Pages of memory that clones of a known working set had after their first event: \
             fetched `ahead`, or when the guest `asked` for one, and waited"
        );
        describe_counter!(
            DAMAGED,
            Unit::Count,
            "Snapshots (of a `function`, or a `layer`) that were found damaged at the origin. \
             They are made anew; why they were, a person must find out"
        );
        describe_counter!(
            BUILDS,
            Unit::Count,
            "Snapshots that were to be built, of a `function` or a `layer`: `built` or `failed`"
        );
        describe_histogram!(
            BUILD,
            Unit::Seconds,
            "From the beginning of such a build to a snapshot that is kept"
        );
        describe_counter!(
            BLANKS,
            Unit::Count,
            "VMMs that clones were made of: ready ahead in the `pool`, or `started` when they \
             were wanted"
        );
        describe_counter!(
            PAGE_SERVER_DEATHS,
            Unit::Count,
            "Deaths of the process that serves guests' pages; each ended the sandboxes it served"
        );
        let starts = |kind: StartKind| counter!(STARTS, "kind" => kind.as_str());
        let of = |name: &'static str| Of::ALL.map(|of| counter!(name, "of" => of.as_str()));
        let builds = |outcome: &'static str| {
            Of::ALL.map(|of| counter!(BUILDS, "of" => of.as_str(), "outcome" => outcome))
        };
        Self {
            restored: starts(StartKind::Restored),
            cold: starts(StartKind::Cold),
            booted: starts(StartKind::Booted),
            fallbacks: of(FALLBACKS),
            damaged: of(DAMAGED),
            ahead: counter!(TOUCHED, "fetched" => "ahead"),
            asked: counter!(TOUCHED, "fetched" => "asked"),
            built: builds("built"),
            failed: builds("failed"),
            build: Of::ALL.map(|of| histogram!(BUILD, "of" => of.as_str())),
            pooled: counter!(BLANKS, "from" => "pool"),
            started: counter!(BLANKS, "from" => "started"),
            page_server_deaths: counter!(PAGE_SERVER_DEATHS),
        }
    }
}
