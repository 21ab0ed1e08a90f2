//! What a worker tells its operator.

use crate::WorkerService;
use crate::failure::Failure;
use hearth_services::worker::CreateError;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use std::sync::LazyLock;
use std::time::Duration;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

const CREATES: &str = "hearth_worker_creates_total";
const CREATE: &str = "hearth_worker_create_seconds";
const BROKEN: &str = "hearth_worker_invokes_broken_total";
const LOST: &str = "hearth_worker_sandboxes_lost_total";
const SANDBOXES: &str = "hearth_worker_sandboxes";
const PROMISED: &str = "hearth_worker_promised_bytes";
const TOTAL: &str = "hearth_worker_total_bytes";

struct Metrics {
    created: Counter,
    no_capacity: Counter,
    init_failed: Counter,
    fetch_failed: Counter,
    vm_failed: Counter,
    refused: Counter,
    create: Histogram,
    lost: Counter,
    sandboxes: Gauge,
    promised: [Gauge; 2],
    total: [Gauge; 2],
}

/// Makes the worker's metrics known to the recorder that is installed, at zero.
pub fn register_metrics() {
    Metrics::register();
    crate::snapshot_metrics::register();
}

impl WorkerService {
    /// Brings the gauges up to date; called when somebody looks at them.
    pub fn observe(&self) {
        let (capacity, used) = (self.admission.capacity(), self.admission.used());
        METRICS.sandboxes.set(used.sandboxes);
        for (gauges, room) in [(&METRICS.promised, used.room), (&METRICS.total, capacity.room)] {
            let [memory, disk] = gauges;
            memory.set(room.memory_bytes as f64);
            disk.set(room.disk_bytes as f64);
        }
    }
}

/// The making of a sandbox came to its end.
pub(crate) fn created<T>(result: &Result<T, CreateError>, took: Duration) {
    let metrics = &*METRICS;
    let counter = match result {
        Ok(_) => {
            metrics.create.record(took);
            &metrics.created
        }
        Err(CreateError::NoCapacity) => &metrics.no_capacity,
        Err(
            CreateError::InitFailed { .. }
            | CreateError::RestoreFailed { .. }
            | CreateError::RestoreTimedOut,
        ) => &metrics.init_failed,
        Err(CreateError::Fetch(_)) => &metrics.fetch_failed,
        Err(CreateError::Vm(_)) => &metrics.vm_failed,
        Err(_) => &metrics.refused,
    };
    counter.increment(1);
}

/// An invocation took its sandbox with it. Not on the warm path.
pub(crate) fn broken(failure: &Failure) {
    let error = failure.error_type();
    debug_assert!(Failure::TYPES.contains(&error));
    counter!(BROKEN, "error" => error).increment(1);
}

/// A microVM ended by itself.
pub(crate) fn lost() {
    METRICS.lost.increment(1);
}

impl Metrics {
    fn register() -> Self {
        describe_counter!(
            CREATES,
            Unit::Count,
            "Sandboxes that were to be made: `created`, `no_capacity`, `init_failed` (the \
             function's own fault), `fetch_failed` (code or image), `vm_failed`, `refused` (no \
             guest image of the runtime, or the worker is going down)"
        );
        describe_histogram!(CREATE, Unit::Seconds, "From admission to a function that is ready");
        describe_counter!(
            BROKEN,
            Unit::Count,
            "Invokes that failed outside of the handler, by the error type that the caller's \
             REPORT line shows"
        );
        describe_counter!(LOST, Unit::Count, "MicroVMs that ended by themselves");
        describe_gauge!(SANDBOXES, Unit::Count, "Sandboxes that hold room, from admission on");
        describe_gauge!(PROMISED, Unit::Bytes, "Room promised to sandboxes");
        describe_gauge!(TOTAL, Unit::Bytes, "Room that sandboxes may take together");
        for error in Failure::TYPES {
            counter!(BROKEN, "error" => error).absolute(0);
        }
        let creates = |outcome| counter!(CREATES, "outcome" => outcome);
        Self {
            created: creates("created"),
            no_capacity: creates("no_capacity"),
            init_failed: creates("init_failed"),
            fetch_failed: creates("fetch_failed"),
            vm_failed: creates("vm_failed"),
            refused: creates("refused"),
            create: histogram!(CREATE),
            lost: counter!(LOST),
            sandboxes: gauge!(SANDBOXES),
            promised: ["memory", "disk"].map(|of| gauge!(PROMISED, "of" => of)),
            total: ["memory", "disk"].map(|of| gauge!(TOTAL, "of" => of)),
        }
    }
}
