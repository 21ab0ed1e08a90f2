//! The one thread that writes.
//!
//! It takes every change that waits, commits them together and answers
//! each. While it syncs, the next group gathers: the more writers wait, the
//! more of them share one sync.

use crate::engine::{Change, Commit, Engine, EngineError, Outcome};
use crate::history::History;
use hearth_services::metastore::MetaStoreError;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Most changes in one group.
const GROUP_TXNS_MAX: usize = 256;

/// A change that waits to be committed.
pub(crate) struct Request {
    pub(crate) change: Change,
    pub(crate) reply: oneshot::Sender<Result<Outcome, MetaStoreError>>,
    /// Its share of the bytes that may wait; free again once it is answered.
    pub(crate) queued_bytes: OwnedSemaphorePermit,
}

/// Serves until every sender is gone.
pub(crate) fn run(engine: &Engine, history: &History, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_TXNS_MAX
            && let Ok(request) = requests.try_recv()
        {
            group.push(request);
        }
        serve(engine, history, group);
    }
}

fn serve(engine: &Engine, history: &History, group: Vec<Request>) {
    let (changes, replies): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|request| (request.change, (request.reply, request.queued_bytes)))
        .unzip();
    match commit(engine, history, &changes) {
        Ok((outcomes, commits)) => {
            // Watches first: who has been answered may expect to see it there.
            history.publish(commits);
            for ((reply, _), outcome) in replies.into_iter().zip(outcomes) {
                if let Outcome::Ended(lease) = outcome {
                    engine.leases().end(lease);
                }
                // The caller may have stopped waiting; the commit stands.
                let _ = reply.send(Ok(outcome));
            }
        }
        Err(Failed { error, may_have_happened }) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
            let error = Arc::new(error);
            for (change, (reply, _)) in changes.into_iter().zip(replies) {
                if let Change::EndLease { lease, .. } = change {
                    engine.leases().retry(lease);
                }
                let error = Box::new(error.clone());
                let _ = reply.send(Err(match may_have_happened {
                    true => MetaStoreError::OutcomeUnknown(error),
                    false => MetaStoreError::Engine(error),
                }));
            }
        }
    }
}

/// Why a group was not committed.
struct Failed {
    error: EngineError,
    /// Some of it may be in the file all the same.
    may_have_happened: bool,
}

fn commit(
    engine: &Engine,
    history: &History,
    changes: &[Change],
) -> Result<(Vec<Outcome>, Vec<Commit>), Failed> {
    if !engine.is_open() {
        let reopened = engine.reopen();
        let reopened = reopened.map_err(|error| Failed { error, may_have_happened: false })?;
        history.resume_at(reopened);
    }
    engine.commit_group(changes).map_err(|error| {
        // Only the file knows how much of the commit happened. If it cannot be
        // opened now (the disk is still full), the next commit tries again.
        let may_have_happened = match engine.reopen() {
            Ok(revision) => history.resume_at(revision),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store is closed");
                true
            }
        };
        Failed { error, may_have_happened }
    })
}

/// Has the leases ended whose time is up, until they are closed or the writer is gone.
pub(crate) fn end_lapsed(
    engine: &Engine,
    requests: &mpsc::Sender<Request>,
    queued_bytes: &Arc<Semaphore>,
) {
    while let Some(lapsed) = engine.leases().wait_lapsed() {
        for lease in lapsed {
            // It is not in anybody's way, so it need not wait for bytes to be free.
            let Ok(none) = queued_bytes.clone().try_acquire_many_owned(0) else { return };
            let (reply, _nobody_waits) = oneshot::channel();
            let change = Change::EndLease { lease, is_wanted: false };
            let request = Request { change, reply, queued_bytes: none };
            if requests.blocking_send(request).is_err() {
                return;
            }
        }
    }
}
