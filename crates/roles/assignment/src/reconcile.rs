//! Bringing the table and the workers to agree. A new leader does it before it serves; any
//! does it every few seconds after: what a lost message, a front end that died or a worker
//! that forgot has put apart comes together again.
//!
//! What is believed of what they say, and when, is in `hearth_sandboxes`.

use crate::AssignmentService;
use crate::ledger::Record;
use hearth_sandboxes::{Found, Moment};
use hearth_services::worker::{Deposed, HeldSandbox, SandboxesError, Worker};
use hearth_types::WorkerId;
use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often workers are asked.
const INTERVAL: Duration = Duration::from_secs(3);
/// How long an answer is waited for. A worker that hangs must not keep a new leader from
/// serving what others hold; it is asked again.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(700);
/// Workers asked at once.
const ASKED_MAX: usize = 64;

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
                all_answered &= self.take_answer(asked.join_next().await).await;
            }
            let (reign, now) = (self.reign, self.now());
            let asks = async move { (id, now, ask(&*worker, reign).await) };
            hearth_tasks::spawn_in(&mut asked, "sandboxes of a worker", asks);
        }
        while let answer @ Some(_) = asked.join_next().await {
            all_answered &= self.take_answer(answer).await;
        }
        let gone = {
            let mut missing = self.missing.lock();
            let now = self.now().at;
            self.table.lock().forget_lost(&mut missing, &here, all_answered, now)
        };
        self.conclude(Found { gone, ..Found::default() });
    }

    /// Whether it is one.
    async fn take_answer(&self, answer: Option<Result<Answer, tokio::task::JoinError>>) -> bool {
        let is_one = matches!(answer, None | Some(Ok((_, _, Ok(_)))));
        match answer {
            Some(Ok((worker, asked, Ok(held)))) => {
                let found = self.table.lock().compare(worker, &held, asked);
                self.conclude(found);
            }
            Some(Ok((worker, _, Err(SandboxesError::Deposed(deposed))))) => {
                self.is_over(Some(worker), deposed).await;
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

    /// Whether another leads, as a worker says; the journal knows. A worker that is wrong
    /// ends no leader's time: it is of no use, as it obeys nobody.
    pub(crate) async fn is_over(&self, worker: Option<WorkerId>, deposed: Deposed) -> bool {
        let Some(ownership) = &self.ownership else { return false };
        if self.over.is_cancelled() {
            return true;
        }
        let worker = worker.map(tracing::field::display);
        match ownership.is_deposed().await {
            Ok(true) => {
                tracing::info!(%deposed, "another leads");
                self.over.cancel();
                true
            }
            Ok(false) => {
                tracing::warn!(worker, %deposed, "a worker knows of a leader that there never was");
                false
            }
            // This leader's lease decides.
            Err(error) => {
                tracing::warn!(worker, %deposed, error = &error as &dyn std::error::Error,
                    "whether another leads cannot be found out");
                false
            }
        }
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
}

type Answer = (WorkerId, Moment, Result<Vec<HeldSandbox>, SandboxesError>);

async fn ask(
    worker: &dyn Worker,
    reign: hearth_types::Reign,
) -> Result<Vec<HeldSandbox>, SandboxesError> {
    match tokio::time::timeout(ANSWER_WAIT_MAX, worker.sandboxes(reign)).await {
        Ok(answer) => answer,
        Err(late) => Err(SandboxesError::Unreachable(Box::new(late))),
    }
}
