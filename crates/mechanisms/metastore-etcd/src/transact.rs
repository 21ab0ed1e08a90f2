//! Transactions: done once or not at all, whatever becomes of members and connections.
//!
//! ```text
//! send ─┬─ answered ─────────────────────────────────► Committed, Conflict
//!       ├─ certainly not done ── next member ── send …
//!       └─ unclear ── settle ─┬─ it happened ────────► Committed
//!                             ├─ it never will ─────── send anew …
//!                             └─ nobody answers ─────► OutcomeUnknown
//! ```

use crate::error::{EtcdError, is_lease_gone};
use crate::keyspace::Keyspace;
use crate::leases;
use crate::markers::{Marker, Markers, Settled};
use crate::members::{Failure, Members};
use crate::reads::revision;
use crate::wire::{self, Compare, DeleteRange, Do, Put};
use hearth_services::metastore::{self as contract, MetaStoreError, Txn, TxnOutcome};
use tokio::time::Instant;
use tonic::Status;

/// How often a transaction is sent that turned out never to have happened.
const SENDS_MAX: usize = 8;

/// Commits `txn` if its conditions hold.
pub(crate) async fn transact(
    members: &Members,
    keys: &Keyspace,
    markers: &Markers,
    txn: &Txn,
) -> Result<TxnOutcome, MetaStoreError> {
    let Some(compare) = compares(keys, txn) else { return Ok(TxnOutcome::Conflict) };
    if txn.ops.is_empty() {
        // It changes nothing, so it may be asked twice.
        let done = members.ask(wire::Txn { compare, ..wire::Txn::default() }).await?;
        let revision = revision(done.header)?;
        return Ok(match done.succeeded {
            true => TxnOutcome::Committed(revision),
            false => TxnOutcome::Conflict,
        });
    }
    let success: Vec<wire::Op> = txn.effects().into_values().map(|op| change(keys, op)).collect();
    let deadline = Instant::now() + members.patience();
    let mut failed = EtcdError::MarkersVanish;
    for _ in 0..SENDS_MAX {
        let marker = markers.take(members).await?;
        match send(members, &marker, &compare, &success).await {
            Ok(Sent::Committed(revision)) => {
                markers.give_back(marker.written(revision));
                return Ok(TxnOutcome::Committed(revision));
            }
            Ok(Sent::Conflict) => {
                markers.give_back(marker);
                return Ok(TxnOutcome::Conflict);
            }
            // Not done, and the next has another marker.
            Ok(Sent::MarkerVanished) => {}
            Err(Failure::Never(error)) if is_lease_gone(&error) => {
                is_ours(members, markers, &marker, txn).await?;
            }
            Err(Failure::Never(error)) => {
                markers.give_back(marker);
                return Err(error.into());
            }
            Err(Failure::Unclear(status)) => {
                let settled = marker.settle(members).await.map_err(|error| {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what came of a transaction cannot be found out"
                    );
                    let unsettled = EtcdError::Unsettled(members.patience(), status.clone());
                    MetaStoreError::OutcomeUnknown(Box::new(unsettled))
                })?;
                match settled {
                    Settled::Happened(revision) => return Ok(TxnOutcome::Committed(revision)),
                    Settled::Never => failed = EtcdError::Unavailable(members.patience(), status),
                }
            }
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    Err(failed.into())
}

/// What an answer says.
enum Sent {
    Committed(contract::Revision),
    Conflict,
    /// Nothing was done, because the marker was not as it was left: its lease ended.
    MarkerVanished,
}

async fn send(
    members: &Members,
    marker: &Marker,
    compare: &[Compare],
    success: &[wire::Op],
) -> Result<Sent, Failure> {
    let txn = wire::Txn {
        compare: [compare, &[marker.unchanged()]].concat(),
        success: [success, &[marker.mark()]].concat(),
        failure: vec![marker.look()],
    };
    let done = members.ask_once(txn).await?;
    if done.succeeded {
        let unnumbered = |_| Failure::Unclear(Status::internal("an answer without a revision"));
        return revision(done.header).map(Sent::Committed).map_err(unnumbered);
    }
    let look = done.responses.into_iter().next().and_then(|done| done.range);
    let found = look.and_then(|range| range.kvs.into_iter().next()).map(|kv| kv.mod_revision);
    Ok(match marker.is_unchanged(found) {
        true => Sent::Conflict,
        false => Sent::MarkerVanished,
    })
}

/// A lease that the transaction names is over: fails if that is the caller's, and
/// forgets the session if it is that one's.
async fn is_ours(
    members: &Members,
    markers: &Markers,
    marker: &Marker,
    txn: &Txn,
) -> Result<(), MetaStoreError> {
    let names_leases = txn.effects().into_values().any(|op| op.lease().is_some());
    match leases::keep(members, marker.lease()).await {
        Ok(()) if names_leases => Err(MetaStoreError::LeaseGone),
        Ok(()) | Err(MetaStoreError::LeaseGone) => {
            markers.session_ended(marker.lease()).await;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The conditions, or none if one of them can never hold.
fn compares(keys: &Keyspace, txn: &Txn) -> Option<Vec<Compare>> {
    let compare = |compare: &contract::Compare| match compare {
        contract::Compare::Absent(key) => Some(Compare::mod_revision(keys.data(key), 0)),
        // No revision writes 0; to etcd it would say that the key is absent.
        contract::Compare::RevisionIs(_, 0) => None,
        contract::Compare::RevisionIs(key, revision) => {
            Some(Compare::mod_revision(keys.data(key), i64::try_from(*revision).ok()?))
        }
    };
    txn.compares.iter().map(compare).collect()
}

fn change(keys: &Keyspace, op: &contract::Op) -> wire::Op {
    let key = keys.data(op.key());
    let lease = op.lease().map_or(0, |lease| lease.0 as i64);
    match op.value() {
        Some(value) => Do::Put(Put { key, value: value.clone(), lease }).into(),
        None => Do::Delete(DeleteRange { key }).into(),
    }
}
