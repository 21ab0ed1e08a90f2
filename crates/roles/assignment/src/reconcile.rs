//! Bringing the table and the workers to agree. A new leader does it before it serves; any
//! does it every few seconds after: what a lost message, a front end that died or a worker
//! that forgot has put apart comes together again.
//!
//! ```text
//!  table       worker says       then
//!  inherited   idle / busy       it is idle / busy
//!  inherited   nobody has it     it came to nothing
//!  busy        idle, twice       its invocation ended and nobody said so: idle
//!  idle        busy              an event of an earlier leader: busy until it ends
//!  any         not there         it is no more
//!  not there   idle              nobody's: killed
//!  not there   busy              killed once it is idle
//! ```

use crate::AssignmentService;
use crate::ledger::Record;
use crate::table::Table;
use hearth_services::assignment::SandboxState;
use hearth_services::worker::{Doing, HeldSandbox, SandboxesError, Worker};
use hearth_types::{SandboxId, WorkerId};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often workers are asked.
const INTERVAL: Duration = Duration::from_secs(3);
/// How long an answer is waited for. A worker that hangs must not keep a new leader from
/// serving what others hold; it is asked again.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(700);
/// Workers asked at once.
const ASKED_MAX: usize = 64;
/// How often a worker has to say that a busy sandbox runs nothing before it is believed:
/// an invocation that was just given it may be on its way, or its end be on its way here.
const QUIET_TIMES: u8 = 2;
/// How long a worker has to be missing before its sandboxes count as gone.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// How long nobody must have told of what an earlier leader began to create before it
/// counts as gone: if all workers answer, and if some do not, which may have it.
const UNTOLD_MAX: Duration = Duration::from_secs(10);
const UNANSWERED_MAX: Duration = Duration::from_secs(300);

impl AssignmentService {
    pub(crate) async fn reconcile_forever(&self) -> Infallible {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.reconcile().await;
        }
    }

    /// Asks every worker for its sandboxes, once.
    pub async fn reconcile(&self) {
        let workers = self.workers.all();
        let here: HashSet<WorkerId> = workers.iter().map(|(id, _)| *id).collect();
        let mut asked = JoinSet::new();
        let mut all_answered = true;
        for (id, worker) in workers {
            if asked.len() >= ASKED_MAX {
                all_answered &= self.take_answer(asked.join_next().await);
            }
            let reign = self.reign;
            let asks = async move { (id, Instant::now(), ask(&*worker, reign).await) };
            hearth_tasks::spawn_in(&mut asked, "sandboxes of a worker", asks);
        }
        while let answer @ Some(_) = asked.join_next().await {
            all_answered &= self.take_answer(answer);
        }
        let untold_max = if all_answered { UNTOLD_MAX } else { UNANSWERED_MAX };
        self.forget_lost(&here, untold_max, Instant::now());
    }

    /// Whether it is one.
    fn take_answer(&self, answer: Option<Result<Answer, tokio::task::JoinError>>) -> bool {
        let is_one = matches!(answer, None | Some(Ok((_, _, Ok(_)))));
        match answer {
            Some(Ok((worker, asked, Ok(held)))) => {
                let found = self.table.lock().compare(worker, &held, asked);
                self.conclude(found);
            }
            Some(Ok((_, _, Err(SandboxesError::Deposed(deposed))))) => {
                tracing::info!(%deposed, "another leads");
                self.over.cancel();
            }
            Some(Ok((worker, _, Err(error)))) => {
                tracing::debug!(%worker, error = &error as &dyn std::error::Error,
                    "a worker did not tell its sandboxes");
            }
            // Its panic has been logged.
            Some(Err(_)) | None => {}
        }
        is_one
    }

    fn conclude(&self, found: Found) {
        for id in found.gone {
            self.note_in_background(Record::Ended(id));
        }
        for (id, worker) in found.strays {
            tracing::info!(sandbox = %id, %worker, "a sandbox that is nobody's is killed");
            // Not written down: another may rightly have that id.
            self.order_kill(id, worker);
        }
        for (id, worker) in found.doomed {
            self.kill_in_background(id, worker);
        }
    }

    /// Forgets sandboxes of workers that are gone for good, and what came to nothing.
    fn forget_lost(&self, here: &HashSet<WorkerId>, untold_max: Duration, now: Instant) {
        let gone = {
            let mut missing = self.missing.lock();
            let mut table = self.table.lock();
            let of: HashSet<WorkerId> =
                table.sandboxes.values().filter_map(|e| e.owned.worker).collect();
            missing.retain(|id, _| of.contains(id) && !here.contains(id));
            for id in of.difference(here) {
                missing.entry(*id).or_insert(now);
            }
            let is_lost = |id: &WorkerId| {
                missing.get(id).is_some_and(|since| now.duration_since(*since) >= GONE_AFTER)
            };
            table.forget_if(|entry| match entry.owned.worker {
                Some(worker) => is_lost(&worker),
                None => entry.hold.is_none() && now.duration_since(entry.since) >= untold_max,
            })
        };
        self.conclude(Found { gone, ..Found::default() });
    }
}

type Answer = (WorkerId, Instant, Result<Vec<HeldSandbox>, SandboxesError>);

async fn ask(
    worker: &dyn Worker,
    reign: hearth_types::Reign,
) -> Result<Vec<HeldSandbox>, SandboxesError> {
    match tokio::time::timeout(ANSWER_WAIT_MAX, worker.sandboxes(reign)).await {
        Ok(answer) => answer,
        Err(late) => Err(SandboxesError::Unreachable(Box::new(late))),
    }
}

/// When each worker that sandboxes are of was first missed.
pub(crate) type Missing = HashMap<WorkerId, Instant>;

/// What is to be done after a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// No more; forgotten.
    gone: Vec<SandboxId>,
    /// Nobody's; to be killed.
    strays: Vec<(SandboxId, WorkerId)>,
    /// Of versions that are no more, and idle now; forgotten, to be killed.
    doomed: Vec<(SandboxId, WorkerId)>,
}

impl Table {
    /// Takes what a worker said that it holds, when it was asked at `asked`.
    fn compare(&mut self, worker: WorkerId, held: &[HeldSandbox], asked: Instant) -> Found {
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
            if entry.owned.key != said.key || is_elsewhere {
                if !is_elsewhere || said.doing == Doing::Idle {
                    found.strays.push((said.id, worker));
                }
                continue;
            }
            match entry.state {
                // It is being created here, and whoever does so will say.
                SandboxState::Starting if entry.hold.is_some() => {}
                // What it said is from before.
                _ if entry.since >= asked && entry.hold.is_some() => {}
                SandboxState::Starting if said.doing == Doing::Starting => entry.since = asked,
                SandboxState::Starting | SandboxState::Idle if said.doing == Doing::Busy => {
                    self.found_busy(said.id, worker, said.hold, asked);
                }
                SandboxState::Starting => {
                    found.doomed.extend(self.found_idle(said.id, worker, asked));
                }
                SandboxState::Busy if said.doing == Doing::Idle => {
                    entry.quiet += 1;
                    if entry.quiet >= QUIET_TIMES {
                        found.doomed.extend(self.found_idle(said.id, worker, asked));
                    }
                }
                SandboxState::Busy => entry.quiet = 0,
                SandboxState::Idle => {}
            }
        }
        let said: HashSet<SandboxId> = held.iter().map(|sandbox| sandbox.id).collect();
        found.gone = self.forget_if(|entry| {
            entry.owned.worker == Some(worker) && entry.since < asked && !said.contains(&entry.id)
        });
        found
    }

    /// Forgets sandboxes that are no more.
    fn forget_if(&mut self, is_gone: impl Fn(&crate::table::Entry) -> bool) -> Vec<SandboxId> {
        let gone: Vec<SandboxId> =
            self.sandboxes.values().filter(|e| is_gone(e)).map(|entry| entry.id).collect();
        gone.iter().for_each(|id| self.forget(*id));
        gone
    }
}

#[cfg(test)]
mod tests;
