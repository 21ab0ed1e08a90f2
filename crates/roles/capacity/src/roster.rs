//! The workers as the manager knows them: how well each is, and how far on its way out.

use crate::hands::Backoff;
use crate::nodes::Answer;
use crate::provider::Machine;
use hearth_planner::capacity::{Health, Record, SICK_AFTER, Signs, Stage, WorkerState};
use hearth_planner::placement::Zone;
use hearth_services::cluster::StandingRecord;
use hearth_services::worker::{Outcomes, Standing, WorkerStatus};
use hearth_types::{NodeName, Timestamp, WorkerId, ZoneName};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Of so few workers no majority tells whether it is the manager that is deaf.
const DEAF_MIN: usize = 3;
/// How long a worker that was told to drain may still be given sandboxes: by placements
/// that had begun, or had not heard of it.
const SETTLE: Duration = Duration::from_secs(5);

/// Whether it is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// The provider was told to.
    Ordered,
    /// It did so, then; the node leaves.
    Done(Instant),
    /// It cannot be, or not by this provider.
    GivenUp,
}

/// A worker.
pub(crate) struct Managed {
    pub(crate) machine: Machine,
    record: Record,
    pub(crate) stage: Stage,
    /// When its stage began.
    since: Instant,
    /// It drains in order to be taken away, not to be replaced.
    pub(crate) leaves: bool,
    /// Its node has a record.
    pub(crate) is_present: bool,
    heard: Instant,
    pub(crate) status: Option<WorkerStatus>,
    /// What came of its sandboxes, up to the last look.
    looked: Outcomes,
    pub(crate) stop: Stop,
    pub(crate) stopping: Backoff,
    /// Another was asked for in its place.
    pub(crate) is_replaced: bool,
}

impl Managed {
    pub(crate) fn health(&self) -> Health {
        self.record.health()
    }

    /// Living sandboxes; some, of one that never said.
    pub(crate) fn sandboxes(&self) -> u32 {
        match &self.status {
            // What it said before it was told to drain is no word on what it got since.
            Some(status) if self.stage == Stage::Serving || self.heard >= self.since + SETTLE => {
                status.sandboxes
            }
            Some(status) => status.sandboxes.max(1),
            None => 1,
        }
    }

    pub(crate) fn is_sick(&self) -> bool {
        self.health() == Health::Sick
    }

    pub(crate) fn set_stage(&mut self, stage: Stage, leaves: bool) {
        (self.stage, self.leaves, self.since) = (stage, leaves, Instant::now());
    }

    pub(crate) fn state(&self, zone: Zone) -> WorkerState {
        WorkerState {
            worker: self.machine.worker,
            zone,
            health: self.health(),
            stage: self.stage,
            outdated: false,
            sandboxes: self.sandboxes(),
        }
    }

    fn look(&mut self, now: Instant) {
        let outcomes = self.status.as_ref().map(|status| status.outcomes).unwrap_or_default();
        let since = |now: u64, before: u64| now.saturating_sub(before).min(u32::MAX.into()) as u32;
        let signs = Signs {
            heartbeat_age: now.duration_since(self.heard),
            creates_ok: since(outcomes.created, self.looked.created),
            creates_failed: since(outcomes.failed, self.looked.failed),
            sandboxes_lost: since(outcomes.lost, self.looked.lost),
        };
        self.looked = outcomes;
        let before = self.health();
        self.record = self.record.look(&signs);
        if self.health() != before {
            let (node, health) = (&self.machine.node, self.health());
            tracing::info!(%node, worker = %self.machine.worker, ?before, ?health, ?signs, "health");
        }
        if let Stage::Draining(looks) = &mut self.stage {
            *looks = looks.saturating_add(1);
        }
    }
}

/// What a round of asking showed.
#[derive(Default)]
pub(crate) struct Seen {
    /// Workers that are new, where, and since when they live.
    pub(crate) joined: Vec<(WorkerId, ZoneName, Timestamp)>,
    /// Workers that are no more, since another life of their node is there or they were
    /// stopped.
    pub(crate) gone: Vec<WorkerId>,
    /// So many have a record and do not answer that it is more likely the manager who does
    /// not hear them.
    pub(crate) is_deaf: bool,
}

/// All of them.
pub(crate) struct Roster {
    pub(crate) workers: BTreeMap<WorkerId, Managed>,
    /// What an earlier manager had begun with workers that were not seen yet.
    left: BTreeMap<WorkerId, StandingRecord>,
    opened: Instant,
}

impl Roster {
    pub(crate) fn new(left: BTreeMap<WorkerId, StandingRecord>) -> Self {
        Self { workers: BTreeMap::new(), left, opened: Instant::now() }
    }

    /// Takes what nodes said.
    pub(crate) fn see(&mut self, answers: &[Answer], now: Instant) -> Seen {
        let mut seen = Seen::default();
        let (mut asked, mut silent) = (0, 0);
        let mut present = BTreeSet::new();
        for (node, status) in answers {
            let Some(worker) = node.worker else { continue };
            let machine = Machine { node: node.name.clone(), worker, zone: node.zone.clone() };
            present.insert(worker);
            asked += 1;
            let status = status.as_ref().and_then(|status| status.worker.clone());
            silent += usize::from(status.is_none());
            let entry = self.workers.entry(worker).or_insert_with(|| {
                seen.joined.push((worker, node.zone.clone(), node.started));
                enter(machine, self.left.remove(&worker), now)
            });
            if let Some(status) = status {
                if entry.status.is_none() {
                    // What came of it before this manager's time says nothing of now.
                    entry.looked = status.outcomes;
                }
                (entry.status, entry.heard) = (Some(status), now);
            }
        }
        let lives: BTreeMap<&NodeName, WorkerId> =
            answers.iter().filter_map(|(node, _)| Some((&node.name, node.worker?))).collect();
        for (id, worker) in &mut self.workers {
            worker.is_present = present.contains(id);
            let is_over = lives.get(&worker.machine.node).is_some_and(|now| now != id);
            let was_stopped = matches!(worker.stop, Stop::Done(_) | Stop::GivenUp);
            if is_over || !worker.is_present && was_stopped {
                seen.gone.push(*id);
            }
        }
        if now.duration_since(self.opened) >= SICK_AFTER {
            seen.gone.extend(std::mem::take(&mut self.left).into_keys());
        }
        seen.is_deaf = asked >= DEAF_MIN && silent * 2 > asked;
        seen
    }

    /// Looks at each once more.
    pub(crate) fn look(&mut self, now: Instant) {
        self.workers.values_mut().for_each(|worker| worker.look(now));
    }

    pub(crate) fn knows_node(&self, node: &NodeName) -> bool {
        self.workers.values().any(|worker| worker.machine.node == *node)
    }

    pub(crate) fn in_zone(&self, zone: &ZoneName) -> impl Iterator<Item = &Managed> {
        self.workers.values().filter(move |worker| worker.machine.zone == *zone)
    }
}

fn enter(machine: Machine, left: Option<StandingRecord>, now: Instant) -> Managed {
    let stage = match left.map(|left| left.standing) {
        None | Some(Standing::Serving) => Stage::Serving,
        Some(Standing::Cordoned) => Stage::Cordoned,
        Some(Standing::Draining) => Stage::Draining(0),
    };
    let leaves = left.is_some_and(|left| left.leaves);
    let record = match stage {
        // Whoever was to be replaced was sick, and shows that it is well again as such.
        Stage::Cordoned | Stage::Draining(_) if !leaves => {
            Record::default().look(&Signs { heartbeat_age: SICK_AFTER, ..Signs::default() })
        }
        _ => Record::default(),
    };
    Managed {
        machine,
        record,
        stage,
        since: now,
        leaves,
        is_present: true,
        heard: now,
        status: None,
        looked: Outcomes::default(),
        stop: Stop::No,
        stopping: Backoff::default(),
        is_replaced: false,
    }
}
