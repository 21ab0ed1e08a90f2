//! What the capacity manager tells its operator. Nodes whose turn it is not tell what they
//! saw last.

use crate::hands::Order;
use crate::manager::Manager;
use crate::provider::ProviderError;
use crate::roster::Managed;
use hearth_planner::capacity::{Action, Health, Stage};
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use std::sync::LazyLock;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

const WORKERS: &str = "hearth_capacity_workers";
const OUT: &str = "hearth_capacity_workers_on_their_way_out";
const COMING: &str = "hearth_capacity_workers_coming";
const WANTED: &str = "hearth_capacity_workers_wanted";
const REFUSED: &str = "hearth_capacity_refused_total";
const DEAF: &str = "hearth_capacity_deaf_rounds_total";
const ORDERS: &str = "hearth_capacity_orders_total";
const ACTIONS: &str = "hearth_capacity_replacement_steps_total";

struct Metrics {
    /// Healthy, suspect, sick.
    workers: [Gauge; 3],
    out: Gauge,
    coming: Gauge,
    wanted: Gauge,
    refused: Counter,
    deaf: Counter,
    /// Up and down: done, failed, timed out.
    orders: [[Counter; 3]; 2],
    /// Cordon, drain, replace.
    actions: [Counter; 3],
}

/// Makes the capacity manager's metrics known to the recorder that is installed, at zero.
pub fn register_metrics() {
    Metrics::register();
}

/// A round of asking is over.
pub(crate) fn round(manager: &Manager, refused: u64, is_deaf: bool) {
    let count = |which: &dyn Fn(&Managed) -> bool| {
        manager.roster.workers.values().filter(|worker| which(worker)).count() as f64
    };
    let metrics = &*METRICS;
    for (gauge, health) in metrics.workers.iter().zip(HEALTH) {
        gauge.set(count(&|worker| worker.health() == health));
    }
    metrics.out.set(count(&|worker| worker.stage != Stage::Serving));
    metrics.coming.set(manager.coming.count() as f64);
    metrics.refused.increment(refused);
    metrics.deaf.increment(is_deaf.into());
}

/// So many workers are wanted in all.
pub(crate) fn wanted(workers: u64) {
    METRICS.wanted.set(workers as f64);
}

/// An order to the provider came to its end.
pub(crate) fn ordered(order: &Order, result: &Result<(), ProviderError>) {
    let [up, down] = &METRICS.orders;
    let [done, failed, timed_out] = match order {
        Order::Up { .. } => up,
        Order::Down(_) => down,
    };
    let counter = match result {
        Ok(()) => done,
        Err(ProviderError::TimedOut) => timed_out,
        Err(_) => failed,
    };
    counter.increment(1);
}

/// The planner said so.
pub(crate) fn acted(action: &Action) {
    let [cordon, drain, replace] = &METRICS.actions;
    let counter = match action {
        Action::Cordon(_) => cordon,
        Action::Drain(_) => drain,
        Action::Replace(_) => replace,
    };
    counter.increment(1);
}

const HEALTH: [Health; 3] = [Health::Healthy, Health::Suspect, Health::Sick];

impl Metrics {
    fn register() -> Self {
        describe_gauge!(WORKERS, Unit::Count, "Workers, by health");
        describe_gauge!(OUT, Unit::Count, "Of them, cordoned or draining");
        describe_gauge!(COMING, Unit::Count, "Workers that were asked for and are not there yet");
        describe_gauge!(WANTED, Unit::Count, "Workers that use, forecast and headroom ask for");
        describe_counter!(
            REFUSED,
            Unit::Count,
            "Sandboxes that leaders refused, as no worker had room"
        );
        describe_counter!(
            DEAF,
            Unit::Count,
            "Rounds in which most workers did not answer, so that nothing was decided"
        );
        describe_counter!(
            ORDERS,
            Unit::Count,
            "What the provider of workers was told to do, by outcome: `done`, `failed`, \
             `timed_out` (nobody knows whether it was done)"
        );
        describe_counter!(ACTIONS, Unit::Count, "Steps of replacements, as the planner said");
        let orders = |order: &'static str| {
            ["done", "failed", "timed_out"]
                .map(|outcome| counter!(ORDERS, "order" => order, "outcome" => outcome))
        };
        Self {
            workers: ["healthy", "suspect", "sick"]
                .map(|health| gauge!(WORKERS, "health" => health)),
            out: gauge!(OUT),
            coming: gauge!(COMING),
            wanted: gauge!(WANTED),
            refused: counter!(REFUSED),
            deaf: counter!(DEAF),
            orders: [orders("up"), orders("down")],
            actions: ["cordon", "drain", "replace"].map(|step| counter!(ACTIONS, "step" => step)),
        }
    }
}
