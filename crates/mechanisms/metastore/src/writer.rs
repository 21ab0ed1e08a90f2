//! The one thread that writes.
//!
//! It takes every transaction that waits, commits them together and answers
//! each. While it syncs, the next group gathers: the more writers wait, the
//! more of them share one sync.

use crate::engine::{Commit, Engine, EngineError};
use crate::history::History;
use hearth_services::metastore::{MetaStoreError, Txn, TxnOutcome};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Most transactions in one group.
const GROUP_TXNS_MAX: usize = 256;

/// A transaction that waits to be committed.
pub(crate) struct Request {
    pub(crate) txn: Txn,
    pub(crate) reply: oneshot::Sender<Result<TxnOutcome, MetaStoreError>>,
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
    let (txns, replies): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|request| (request.txn, (request.reply, request.queued_bytes)))
        .unzip();
    match commit(engine, history, &txns) {
        Ok((outcomes, commits)) => {
            // Watches first: who has been answered may expect to see it there.
            history.publish(commits);
            for ((reply, _), outcome) in replies.into_iter().zip(outcomes) {
                // The caller may have stopped waiting; the commit stands.
                let _ = reply.send(Ok(outcome));
            }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
            let error = Arc::new(error);
            for (reply, _) in replies {
                let _ = reply.send(Err(MetaStoreError::Engine(Box::new(error.clone()))));
            }
        }
    }
}

fn commit(
    engine: &Engine,
    history: &History,
    txns: &[Txn],
) -> Result<(Vec<TxnOutcome>, Vec<Commit>), EngineError> {
    if !engine.is_open() {
        history.resume_at(engine.reopen()?);
    }
    let result = engine.commit_group(txns);
    if result.is_err() {
        // Only the file knows how much of the commit happened. If it cannot be
        // opened now (the disk is still full), the next commit tries again.
        match engine.reopen() {
            Ok(revision) => history.resume_at(revision),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store is closed");
            }
        }
    }
    result
}
