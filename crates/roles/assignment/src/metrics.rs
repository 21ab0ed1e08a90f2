//! What assignment tells its operator.

use crate::AssignmentService;
use hearth_services::assignment::{AcquireError, Acquired, SandboxState};
use hearth_services::worker::CreateError;
use hearth_types::StartKind;
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use std::sync::LazyLock;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

const SANDBOXES: &str = "hearth_assignment_sandboxes";
const ACQUIRES: &str = "hearth_assignment_acquires_total";
const ENDED: &str = "hearth_assignment_sandboxes_ended_total";
const AHEAD: &str = "hearth_assignment_made_ahead_total";
const KNOWN: &str = "hearth_assignment_known_versions";

struct Metrics {
    /// Starting, idle, busy.
    sandboxes: [Gauge; 3],
    warm: Counter,
    started: Counter,
    concurrency: Counter,
    capacity: Counter,
    init_failed: Counter,
    failed: Counter,
    ended: [Counter; 6],
    made_ahead: Counter,
    not_made_ahead: Counter,
    known: Gauge,
}

/// Why a sandbox is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// To make room for another.
    Evicted,
    /// Idle for longer than the keep-alive.
    Idle,
    /// Its version was updated or deleted.
    Retired,
    /// It failed an invocation, or was of a retired version.
    Discarded,
    /// Its worker drains.
    Drained,
    /// Idle, and by its version's past not worth keeping.
    Unwanted,
}

/// Makes assignment's metrics known to the recorder that is installed, at zero.
pub fn register_metrics() {
    Metrics::register();
}

impl AssignmentService {
    /// Brings the gauges up to date; called when somebody looks at them.
    pub fn observe(&self) {
        set_sandboxes(self.count());
        set_known(self.known());
    }
}

/// How many sandboxes there are of each state.
pub(crate) fn set_sandboxes(counts: [usize; SandboxState::ALL.len()]) {
    for (gauge, count) in METRICS.sandboxes.iter().zip(counts) {
        gauge.set(count as f64);
    }
}

/// An acquire came to its end.
pub(crate) fn acquired(result: &Result<Acquired, AcquireError>) {
    let metrics = &*METRICS;
    let counter = match result {
        Ok(Acquired { start: StartKind::Warm, .. }) => &metrics.warm,
        Ok(_) => &metrics.started,
        Err(AcquireError::AccountConcurrency) => &metrics.concurrency,
        Err(AcquireError::NoCapacity | AcquireError::Create(CreateError::NoCapacity)) => {
            &metrics.capacity
        }
        Err(AcquireError::InitFailed { .. }) => &metrics.init_failed,
        Err(_) => &metrics.failed,
    };
    counter.increment(1);
}

/// An idle sandbox was found.
pub(crate) fn acquired_warm() {
    METRICS.warm.increment(1);
}

/// Whether nobody got a sandbox because no worker has room.
pub(crate) fn is_refusal(result: &Result<Acquired, AcquireError>) -> bool {
    matches!(result, Err(AcquireError::NoCapacity | AcquireError::Create(CreateError::NoCapacity)))
}

/// One that was to be made ahead was, or was not.
pub(crate) fn made_ahead(made: bool) {
    let counter = if made { &METRICS.made_ahead } else { &METRICS.not_made_ahead };
    counter.increment(1);
}

/// Of how many versions something is known.
pub(crate) fn set_known(versions: usize) {
    METRICS.known.set(versions as f64);
}

/// Sandboxes are about to be killed.
pub(crate) fn ended(why: End, sandboxes: usize) {
    METRICS.ended[why as usize].increment(sandboxes as u64);
}

impl Metrics {
    fn register() -> Self {
        describe_gauge!(SANDBOXES, Unit::Count, "Sandboxes alive, by state");
        describe_counter!(
            ACQUIRES,
            Unit::Count,
            "Sandboxes asked for: `warm` (an idle one was there), `started` (a new one was made), \
             `account_concurrency` and `no_capacity` (refused), `init_failed` (the function's own \
             fault), `failed`"
        );
        describe_counter!(
            ENDED,
            Unit::Count,
            "Sandboxes killed: `evicted` (for another's sake), `idle` (longer than the keep-alive), \
             `retired` (idle, and its version is no more), `discarded` (after an invoke), `drained` (idle, \
             and its worker is on its way out), `unwanted` (by how its version was called so far, not \
             worth keeping)"
        );
        describe_counter!(
            AHEAD,
            Unit::Count,
            "Sandboxes that were to be made before an expected event: `made`, `failed` (no worker had \
             room, it did not start, or its version is another by now)"
        );
        describe_gauge!(
            KNOWN,
            Unit::Count,
            "Versions of which it is known how they were called; of others idle sandboxes are kept \
             for the keep-alive"
        );
        let acquires = |outcome| counter!(ACQUIRES, "outcome" => outcome);
        Self {
            sandboxes: SandboxState::ALL.map(|state| gauge!(SANDBOXES, "state" => state.as_str())),
            warm: acquires("warm"),
            started: acquires("started"),
            concurrency: acquires("account_concurrency"),
            capacity: acquires("no_capacity"),
            init_failed: acquires("init_failed"),
            failed: acquires("failed"),
            ended: ["evicted", "idle", "retired", "discarded", "drained", "unwanted"]
                .map(|why| counter!(ENDED, "why" => why)),
            made_ahead: counter!(AHEAD, "outcome" => "made"),
            not_made_ahead: counter!(AHEAD, "outcome" => "failed"),
            known: gauge!(KNOWN),
        }
    }
}
