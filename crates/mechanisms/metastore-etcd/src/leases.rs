//! Leases. A call may be repeated: what a lost answer leaves is a lease without keys,
//! which ends by itself.

use crate::error::{EtcdError, is_lease_gone};
use crate::members::{Members, grpc};
use crate::wire::{Call, Grant, Keep, Kept, Revoke};
use futures_util::stream;
use hearth_services::metastore::{LEASE_TTL_MAX, LEASE_TTL_MIN, Lease, LeaseId, MetaStoreError};
use http::uri::PathAndQuery;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// How long one member may take to keep a lease: leases are short, and may not end because
/// the first that is asked hangs.
const KEEP_ATTEMPT_MAX: Duration = Duration::from_secs(1);

/// A new lease.
pub(crate) async fn grant(members: &Members, ttl: Duration) -> Result<Lease, EtcdError> {
    let ttl = ttl.clamp(LEASE_TTL_MIN, LEASE_TTL_MAX);
    // Whole seconds, and never fewer than asked for.
    let ttl_s = ttl.as_secs() as i64 + i64::from(ttl.subsec_nanos() > 0);
    let granted = members.ask(Grant { ttl_s }).await?;
    let ttl_s = granted.ttl_s.try_into().map_err(|_| EtcdError::Senseless("a negative life"))?;
    Ok(Lease { id: LeaseId(granted.id as u64), ttl: Duration::from_secs(ttl_s) })
}

/// Begins its time anew.
pub(crate) async fn keep(members: &Members, lease: LeaseId) -> Result<(), MetaStoreError> {
    let attempt = |channel| keep_by(channel, Keep { id: lease.0 as i64 });
    match members.ask_by(KEEP_ATTEMPT_MAX, attempt).await?.ttl_s {
        ..=0 => Err(MetaStoreError::LeaseGone),
        _ => Ok(()),
    }
}

/// Ends it now.
pub(crate) async fn revoke(members: &Members, lease: LeaseId) -> Result<(), EtcdError> {
    match members.ask(Revoke { id: lease.0 as i64 }).await {
        Err(error) if is_lease_gone(&error) => Ok(()),
        revoked => revoked.map(|_| ()),
    }
}

/// Etcd has this as a stream only; here it is one question and one answer.
async fn keep_by(channel: Channel, keep: Keep) -> Result<Kept, Status> {
    let path = PathAndQuery::from_static(Keep::PATH);
    let questions = Request::new(stream::iter([keep]));
    let mut grpc = grpc(channel).await?;
    let codec: ProstCodec<Keep, Kept> = ProstCodec::new();
    let mut answers = grpc.streaming(questions, path, codec).await?.into_inner();
    answers.message().await?.ok_or_else(|| Status::unavailable("no answer"))
}
