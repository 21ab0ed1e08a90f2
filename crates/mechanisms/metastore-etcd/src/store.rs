//! The handle: checks bounds, then has the modules do it.

use crate::error::OpenError;
use crate::keyspace::Keyspace;
use crate::markers::Markers;
use crate::members::Members;
use crate::options::EtcdOptions;
use crate::watch::EtcdWatch;
use crate::{leases, reads, transact};
use async_trait::async_trait;
use hearth_services::metastore::{
    LIST_ENTRIES_MAX, Lease, LeaseId, MetaStore, MetaStoreError, Revision, Txn, TxnOutcome,
    Versioned, Watch, check_key,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Most transactions under way; more wait here. As many fill etcd's commits.
const TXNS_MAX: usize = 256;
/// Most reads under way, each of which may hold a page.
const READS_MAX: usize = 64;

/// A [`MetaStore`] in etcd.
#[derive(Debug)]
pub struct EtcdStore {
    members: Arc<Members>,
    keys: Keyspace,
    markers: Markers,
    txns: Semaphore,
    reads: Semaphore,
}

impl EtcdStore {
    /// A handle, which connects when it is used. Needs a runtime of tokio around it.
    pub fn open(options: &EtcdOptions) -> Result<Self, OpenError> {
        let addresses = options.validate()?;
        let keys = Keyspace::new(&options.namespace);
        Ok(Self {
            members: Arc::new(Members::new(addresses, options.tls.as_ref(), options.patience)?),
            markers: Markers::new(keys.clone()),
            keys,
            txns: Semaphore::new(TXNS_MAX),
            reads: Semaphore::new(READS_MAX),
        })
    }
}

#[async_trait]
impl MetaStore for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, MetaStoreError> {
        check_key(key)?;
        let _permit = permit(&self.reads).await?;
        reads::get(&self.members, &self.keys, key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Versioned)>, Revision), MetaStoreError> {
        check_key(prefix)?;
        let _permit = permit(&self.reads).await?;
        let limit = limit.min(LIST_ENTRIES_MAX);
        reads::list(&self.members, &self.keys, prefix, after, limit).await
    }

    async fn transact(&self, txn: Txn) -> Result<TxnOutcome, MetaStoreError> {
        txn.check()?;
        let _permit = permit(&self.txns).await?;
        transact::transact(&self.members, &self.keys, &self.markers, &txn).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, MetaStoreError> {
        check_key(prefix)?;
        let (members, keys) = (self.members.clone(), self.keys.clone());
        Ok(Box::new(EtcdWatch::open(members, keys, prefix, after).await?))
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, MetaStoreError> {
        Ok(leases::grant(&self.members, ttl).await?)
    }

    async fn keep_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        leases::keep(&self.members, lease).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        Ok(leases::revoke(&self.members, lease).await?)
    }
}

async fn permit(of: &Semaphore) -> Result<tokio::sync::SemaphorePermit<'_>, MetaStoreError> {
    // Fails only for one that was closed, which these never are.
    of.acquire().await.map_err(|error| MetaStoreError::Engine(Box::new(error)))
}
