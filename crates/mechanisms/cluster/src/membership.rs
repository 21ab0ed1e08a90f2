//! This node's place in the cluster: a record under a lease that it keeps alive.
//!
//! A node that cannot keep its lease must know so no later than the others do: it counts
//! from the moment at which it last asked, by its own clock, which goes on while the process
//! is frozen. From then on it is nobody, until it has joined again.

use hearth_services::cluster::{NodeRecord, Role};
use hearth_services::keys;
use hearth_services::metastore::{
    Compare, LeaseId, MetaStore, MetaStoreError, Op, Txn, TxnOutcome,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a node that is not heard of is believed to live. Short, since nobody serves
/// the partitions of a leader that hangs; long enough for a pause of a busy host.
pub const NODE_TTL: Duration = Duration::from_secs(3);
/// How often the lease is kept alive.
const KEEP_INTERVAL: Duration = Duration::from_millis(700);
/// Pause before a store that failed is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a store may take to let a node go that ends.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// A lease that is held.
#[derive(Clone, Copy, Debug)]
struct Held {
    lease: LeaseId,
    until: Instant,
}

/// This node's place.
pub struct Membership {
    store: Arc<dyn MetaStore>,
    me: NodeRecord,
    /// It does only what it has begun.
    is_ending: AtomicBool,
    held: watch::Sender<Option<Held>>,
}

/// The node could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Another has its name.
    #[error(
        "a node named {0} is in the cluster already: stop it, or start this one with another name"
    )]
    NameTaken(hearth_types::NodeName),
    /// The store failed.
    #[error("the metadata store failed")]
    Store(#[from] MetaStoreError),
}

impl Membership {
    /// Joins; a record that an earlier life left is waited for. `me.lease` is set here.
    pub async fn join(store: Arc<dyn MetaStore>, me: NodeRecord) -> Result<Arc<Self>, JoinError> {
        let (is_ending, held) = (AtomicBool::new(false), watch::Sender::new(None));
        let this = Self { store, me, is_ending, held };
        let began = Instant::now();
        loop {
            match this.enter().await {
                Err(JoinError::NameTaken(_)) if began.elapsed() < 3 * NODE_TTL => {
                    sleep(PAUSE).await;
                }
                Ok(()) => return Ok(Arc::new(this)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Who this is.
    pub fn me(&self) -> &NodeRecord {
        &self.me
    }

    /// The lease that this node's records are bound to; none while it is nobody.
    pub fn lease(&self) -> Option<LeaseId> {
        let held = *self.held.borrow();
        held.filter(|held| Instant::now() < held.until).map(|held| held.lease)
    }

    /// Whether the others may believe that this node lives.
    pub fn is_alive(&self) -> bool {
        self.lease().is_some()
    }

    /// Tells the others to give this node nothing new: of its roles it keeps that of a front
    /// end, whose calls come to their end, and has no worker.
    pub async fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        let Some(lease) = self.lease() else { return };
        if let Err(error) = self.put(lease).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the cluster was not told that this node ends; it will notice"
            );
        }
    }

    /// What the others are to know.
    fn record(&self, lease: LeaseId) -> NodeRecord {
        let mut record = NodeRecord { lease: lease.0, ..self.me.clone() };
        if self.is_ending.load(Ordering::Relaxed) {
            record.roles.retain(|role| *role == Role::Frontend);
            record.worker = None;
        }
        record
    }

    /// Returns once this node has a lease.
    pub async fn joined(&self) -> LeaseId {
        let mut held = self.held.subscribe();
        loop {
            if let Some(lease) = self.lease() {
                return lease;
            }
            // The sender is our own.
            let _changed = held.changed().await;
        }
    }

    /// Returns once `lease` is this node's no more.
    pub async fn lost(&self, lease: LeaseId) {
        let mut held = self.held.subscribe();
        let is_over = |held: &Option<Held>| held.is_none_or(|held| held.lease != lease);
        // The sender is our own.
        let _held = held.wait_for(is_over).await;
    }

    /// Keeps the place until `stop`, then gives it up. Joins again whenever it was lost.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            never = self.keep_forever() => match never {},
        }
        if let Some(Held { lease, .. }) = self.held.send_replace(None)
            && !matches!(timeout(LEAVE_MAX, self.store.revoke_lease(lease)).await, Ok(Ok(())))
        {
            tracing::warn!("the cluster was not told that this node leaves; it will notice");
        }
    }

    async fn keep_forever(&self) -> std::convert::Infallible {
        loop {
            let held = *self.held.borrow();
            match held {
                Some(held) => {
                    sleep(KEEP_INTERVAL).await;
                    self.keep(held).await;
                }
                None => match self.enter().await {
                    Ok(()) => tracing::info!(node = %self.me.name, "joined the cluster again"),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "cannot join the cluster again; trying on"
                        );
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    async fn keep(&self, held: Held) {
        let asked = Instant::now();
        let left = held.until.saturating_duration_since(asked);
        let until = match timeout(left, self.store.keep_lease(held.lease)).await {
            Ok(Ok(())) => Some(asked + NODE_TTL),
            Ok(Err(MetaStoreError::LeaseGone)) | Err(_) => None,
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "this node's lease could not be kept alive; trying again"
                );
                (Instant::now() < held.until).then_some(held.until)
            }
        };
        if until.is_none() {
            tracing::warn!(node = %self.me.name, "this node is not in the cluster any more");
        }
        self.held.send_replace(until.map(|until| Held { until, ..held }));
    }

    /// Takes the place, if nobody else has it.
    async fn enter(&self) -> Result<(), JoinError> {
        let asked = Instant::now();
        let lease = self.store.grant_lease(NODE_TTL).await?.id;
        self.put(lease).await?;
        self.held.send_replace(Some(Held { lease, until: asked + NODE_TTL }));
        Ok(())
    }

    /// Writes this node's record, unless another has its name.
    async fn put(&self, lease: LeaseId) -> Result<(), JoinError> {
        let key = keys::node(&self.me.name);
        let compare = match self.store.get(&key).await? {
            None => Compare::Absent(key.clone()),
            Some(found) => match keys::decode::<NodeRecord>(&found.value) {
                Ok(record) if record.life == self.me.life => {
                    Compare::RevisionIs(key.clone(), found.revision)
                }
                _ => return Err(JoinError::NameTaken(self.me.name.clone())),
            },
        };
        let put = Op::PutLeased(key, keys::encode(&self.record(lease)), lease);
        let txn = Txn { compares: vec![compare], ops: vec![put] };
        match self.store.transact(txn).await? {
            TxnOutcome::Committed(_) => Ok(()),
            TxnOutcome::Conflict => Err(JoinError::NameTaken(self.me.name.clone())),
        }
    }
}
