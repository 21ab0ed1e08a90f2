//! Bringing the table and the workers to agree: what a new leader does before it serves,
//! and any does every few seconds after.
//!
//! ```text
//!  table       worker says       then
//!  inherited   idle / busy       it is idle / busy
//!  inherited   nobody has it     it came to nothing
//!  busy        idle, twice       its invocation ended and nobody said so: idle; if its hold
//!                                is not known there, it may be on its way for a while
//!  idle        busy              an event of an earlier leader: busy until it ends
//!  any         not there         it is no more
//!  not there   idle              nobody's: killed
//!  not there   busy              killed once it is idle
//! ```

use crate::entry::Entry;
use crate::moment::Moment;
use crate::table::Table;
use hearth_services::assignment::SandboxState;
use hearth_services::worker::{Doing, HeldSandbox};
use hearth_types::{SandboxId, WorkerId};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How often a worker has to say that a busy sandbox runs nothing before it is believed:
/// an invocation that was just given it may be on its way, or its end be on its way here.
const QUIET_TIMES: u8 = 2;
/// How long an event may be on its way: as long as a request may take to arrive, and a margin.
/// Until then the worker has not heard of its hold, and to give the sandbox to another would
/// have it run in there with the other's event behind it.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(75);
/// How long a worker has to be missing before its sandboxes count as gone.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// How long nobody must have told of what an earlier leader began to create before it
/// counts as gone: if all workers answer, and if some do not, which may have it.
const UNTOLD_MAX: Duration = Duration::from_secs(10);
const UNANSWERED_MAX: Duration = Duration::from_secs(300);

/// When each worker that sandboxes are of was first missed.
#[derive(Debug, Default)]
pub struct Missing(HashMap<WorkerId, Duration>);

/// What is to be done after a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// No more; forgotten.
    pub gone: Vec<SandboxId>,
    /// Nobody's; to be killed.
    pub strays: Vec<(SandboxId, WorkerId)>,
    /// Of versions that are no more, and idle now; forgotten, to be killed.
    pub doomed: Vec<(SandboxId, WorkerId)>,
}

impl Table {
    /// Takes what a worker said that it holds, when it was asked at `asked`.
    pub fn compare(&mut self, worker: WorkerId, held: &[HeldSandbox], asked: Moment) -> Found {
        self.notes.at(asked.at);
        let mut found = Found::default();
        for said in held {
            let Some(entry) = self.sandboxes.get_mut(&said.id) else {
                // What is being created can be killed once it is there; and an event that
                // runs, while its worker was cut off, may end.
                if said.doing == Doing::Idle {
                    found.strays.push((said.id, worker));
                }
                continue;
            };
            // A worker that lies about whose it is must not pass it on to anybody.
            let is_elsewhere = entry.owned.worker.is_some_and(|w| w != worker);
            if *entry.owned.key != said.key || is_elsewhere {
                if !is_elsewhere || said.doing == Doing::Idle {
                    found.strays.push((said.id, worker));
                }
                continue;
            }
            match entry.state {
                // It is being created here, and whoever does so will say.
                SandboxState::Starting if entry.hold.is_some() => {}
                // What it said is from before.
                _ if entry.since >= asked.at && entry.hold.is_some() => {}
                SandboxState::Starting if said.doing == Doing::Starting => {
                    entry.since = asked.at;
                }
                SandboxState::Starting | SandboxState::Idle if said.doing == Doing::Busy => {
                    self.found_busy(said.id, worker, said.hold, asked);
                }
                SandboxState::Starting => {
                    found.doomed.extend(self.found_idle(said.id, worker, asked));
                }
                SandboxState::Busy if said.doing == Doing::Idle => {
                    // If the worker has not heard of the hold, its event may be on its way.
                    let has_come = said.hold == entry.hold;
                    let late = asked.at.saturating_sub(entry.since) >= ON_ITS_WAY_MAX;
                    entry.quiet += u8::from(has_come || late);
                    if entry.quiet >= QUIET_TIMES {
                        found.doomed.extend(self.found_idle(said.id, worker, asked));
                    }
                }
                SandboxState::Busy => entry.quiet = 0,
                SandboxState::Idle => {}
            }
        }
        let said: HashSet<SandboxId> = held.iter().map(|sandbox| sandbox.id).collect();
        let is_gone = |id: &SandboxId| {
            !said.contains(id) && self.sandboxes.get(id).is_some_and(|e| e.since < asked.at)
        };
        found.gone = self.on_worker(&worker).filter(is_gone).collect();
        found.gone.iter().for_each(|id| self.forget(*id));
        found
    }

    /// Forgets sandboxes of workers that are not `here` and have been missing for long, and
    /// what an earlier leader began and nobody told of for long. Returns which.
    pub fn forget_lost(
        &mut self,
        missing: &mut Missing,
        here: &HashSet<WorkerId>,
        all_answered: bool,
        now: Duration,
    ) -> Vec<SandboxId> {
        let missing = &mut missing.0;
        missing.retain(|id, _| self.by_worker.contains_key(id) && !here.contains(id));
        for id in self.by_worker.keys().filter(|id| !here.contains(id)) {
            missing.entry(*id).or_insert(now);
        }
        let untold_max = if all_answered { UNTOLD_MAX } else { UNANSWERED_MAX };
        let is_gone = |entry: &Entry| match entry.owned.worker {
            Some(worker) => {
                let since = missing.get(&worker);
                since.is_some_and(|since| now.saturating_sub(*since) >= GONE_AFTER)
            }
            None => entry.hold.is_none() && now.saturating_sub(entry.since) >= untold_max,
        };
        let gone = self.sandboxes.iter().filter(|(_, entry)| is_gone(entry));
        let mut gone: Vec<SandboxId> = gone.map(|(id, _)| *id).collect();
        gone.sort_unstable();
        gone.iter().for_each(|id| self.forget(*id));
        gone
    }
}

#[cfg(test)]
mod tests;
