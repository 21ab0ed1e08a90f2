//! What placement tells its operator.

use hearth_services::placement::{PlaceError, Placed};
use metrics::{Counter, Unit, counter, describe_counter};
use std::sync::LazyLock;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

const PLACES: &str = "hearth_placement_places_total";

struct Metrics {
    placed: Counter,
    no_capacity: Counter,
    failed: Counter,
}

/// Makes placement's metrics known to the recorder that is installed, at zero.
pub fn register_metrics() {
    Metrics::register();
}

/// A placement came to its end.
pub(crate) fn placed(result: &Result<Placed, PlaceError>) {
    let metrics = &*METRICS;
    let counter = match result {
        Ok(_) => &metrics.placed,
        Err(PlaceError::NoCapacity(_)) => &metrics.no_capacity,
        Err(_) => &metrics.failed,
    };
    counter.increment(1);
}

impl Metrics {
    fn register() -> Self {
        describe_counter!(
            PLACES,
            Unit::Count,
            "Tries to place a sandbox: `placed`, `no_capacity` (no worker has room: assignment may \
             make some and try again), `failed` (the chosen worker could not create it)"
        );
        let places = |outcome| counter!(PLACES, "outcome" => outcome);
        Self {
            placed: places("placed"),
            no_capacity: places("no_capacity"),
            failed: places("failed"),
        }
    }
}
