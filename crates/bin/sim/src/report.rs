//! What a run comes to.

use crate::figures::Figures;
use crate::scenario::Scenario;
use std::fmt;

/// The figures of a run. The same scenario and seed give the same report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was run,
    pub scenario: Scenario,
    /// and with which seed.
    pub seed: u64,
    /// Calls after the first quarter; counts below are of that time, too.
    pub calls: u64,
    /// Calls that found an idle sandbox.
    pub warm: u64,
    /// Calls that had one restored.
    pub restored: u64,
    /// Calls that had one initialised.
    pub cold: u64,
    /// Calls that were refused for lack of room.
    pub refused: u64,
    /// Events that ended with their worker.
    pub lost_events: u64,
    /// Idle sandboxes that did.
    pub lost_idle: u64,
    /// Events whose sandbox was another's when they came, and that another ran.
    pub passed_over: u64,
    /// Leaders that others followed, and the sandboxes that these took over.
    pub leaders_lost: u64,
    /// See above.
    pub inherited: u64,
    /// Tries of calls while nobody led their partition.
    pub unled: u64,
    /// Orders and events of deposed leaders, all refused by the workers.
    pub disobeyed: u64,
    /// Times that a call waited for room.
    pub retries: u64,
    /// Wait of a call from its arrival to its begin, in ms: half of them waited no longer,
    /// and 99 in 100.
    pub wait_p50_ms: u64,
    /// See above.
    pub wait_p99_ms: u64,
    /// See above.
    pub wait_p999_ms: u64,
    /// The same of calls that found no idle sandbox: half of them, and 99 in 100.
    pub start_wait_ms: (u64, u64),
    /// Memory of idle sandboxes, in thousandths of all sandboxes'.
    pub idle_per_mille: u64,
    /// How full workers were on average, in thousandths.
    pub fill_per_mille: u64,
    /// Difference of the fullest zone and the emptiest: the mean of all minutes, and most.
    pub zone_gap_per_mille: (u64, u64),
    /// Difference of the 99th and the 1st percentile of workers: the mean, and most.
    pub worker_gap_per_mille: (u64, u64),
    /// Sandboxes that were restored ahead of a call.
    pub ahead: u64,
    /// Idle sandboxes that made room for others.
    pub evicted: u64,
    /// Workers chosen that had no room: the view was wrong.
    pub refused_by_workers: u64,
    /// Creates that failed.
    pub failed_creates: u64,
    /// Decisions of placement.
    pub decisions: u64,
    /// Workers in the end, and that died, were replaced, started and taken away.
    pub workers: u64,
    /// See above.
    pub died: u64,
    /// See above.
    pub replaced: u64,
    /// See above.
    pub gained: u64,
    /// See above.
    pub lost: u64,
    /// Functions that were called at all.
    pub functions_that_ran: u64,
    /// Of all that happened, in order.
    pub digest: u64,
}

impl Report {
    pub(crate) fn new(
        scenario: Scenario,
        seed: u64,
        figures: &Figures,
        workers: usize,
        functions_that_ran: usize,
    ) -> Self {
        Self {
            scenario,
            seed,
            calls: figures.calls,
            warm: figures.warm,
            restored: figures.restored,
            cold: figures.cold,
            refused: figures.refused,
            lost_events: figures.lost_events,
            lost_idle: figures.lost_idle,
            passed_over: figures.passed_over,
            leaders_lost: figures.leaders_lost,
            inherited: figures.inherited,
            unled: figures.unled,
            disobeyed: figures.disobeyed,
            retries: figures.retries,
            wait_p50_ms: figures.wait_ms(500),
            wait_p99_ms: figures.wait_ms(990),
            wait_p999_ms: figures.wait_ms(999),
            start_wait_ms: (figures.start_wait_ms(500), figures.start_wait_ms(990)),
            idle_per_mille: figures.idle_share_per_mille(),
            fill_per_mille: mean_and_most(&figures.fills).0,
            zone_gap_per_mille: mean_and_most(&figures.zone_gaps),
            worker_gap_per_mille: mean_and_most(&figures.worker_gaps),
            ahead: figures.ahead,
            evicted: figures.evicted,
            refused_by_workers: figures.refused_by_workers,
            failed_creates: figures.failed_creates,
            decisions: figures.decisions,
            workers: workers as u64,
            died: figures.died,
            replaced: figures.replaced,
            gained: figures.gained,
            lost: figures.lost,
            functions_that_ran: functions_that_ran as u64,
            digest: figures.digest(),
        }
    }

    /// Calls that found no idle sandbox, in thousandths of those that ran.
    pub fn cold_start_per_mille(&self) -> u64 {
        let started = self.restored + self.cold;
        started * 1_000 / (self.warm + started).max(1)
    }
}

fn mean_and_most(samples: &[u64]) -> (u64, u64) {
    let sum: u64 = samples.iter().sum();
    (sum / samples.len().max(1) as u64, samples.iter().copied().max().unwrap_or_default())
}

/// Thousandths as percent.
fn percent(per_mille: u64) -> String {
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { kind, workers, functions, minutes, zones, .. } = self.scenario;
        let seed = self.seed;
        writeln!(
            f,
            "{kind}: {workers} workers in {zones} zones, {functions} functions, {minutes} minutes, seed {seed}"
        )?;
        writeln!(
            f,
            "  calls         {} of {} functions; {} without an idle sandbox ({} restored, {} cold)",
            self.calls,
            self.functions_that_ran,
            percent(self.cold_start_per_mille()),
            self.restored,
            self.cold,
        )?;
        writeln!(
            f,
            "  waits         p50 {} ms, p99 {} ms, p99.9 {} ms; of starts p50 {}, p99 {}; {} tries for room",
            self.wait_p50_ms,
            self.wait_p99_ms,
            self.wait_p999_ms,
            self.start_wait_ms.0,
            self.start_wait_ms.1,
            self.retries,
        )?;
        writeln!(
            f,
            "  refused       {}; events lost with their worker {}, idle sandboxes {}",
            self.refused, self.lost_events, self.lost_idle,
        )?;
        writeln!(
            f,
            "  memory        workers {} full; of sandboxes {} idle; {} restored ahead, {} evicted",
            percent(self.fill_per_mille),
            percent(self.idle_per_mille),
            self.ahead,
            self.evicted,
        )?;
        writeln!(
            f,
            "  imbalance     zones {} (at most {}), workers {} (at most {})",
            percent(self.zone_gap_per_mille.0),
            percent(self.zone_gap_per_mille.1),
            percent(self.worker_gap_per_mille.0),
            percent(self.worker_gap_per_mille.1),
        )?;
        writeln!(
            f,
            "  placement     {} decisions; {} refused by the worker, {} creates failed",
            self.decisions, self.refused_by_workers, self.failed_creates,
        )?;
        writeln!(
            f,
            "  workers       {} in the end; {} died, {} replaced, {} started, {} taken away",
            self.workers, self.died, self.replaced, self.gained, self.lost,
        )?;
        writeln!(
            f,
            "  leaders       {} lost, {} sandboxes taken over; {} tries unserved, {} events passed over, {} orders of deposed ones refused",
            self.leaders_lost, self.inherited, self.unled, self.passed_over, self.disobeyed,
        )?;
        write!(f, "  digest        {:016x}", self.digest)
    }
}
