//! Stores on real etcd, each in a namespace of its own.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod proxy;

use hearth_metastore_etcd::{EtcdOptions, EtcdStore};
use hearth_services::metastore::MetaStore;
use hearth_test_servers::{Etcd, gateway};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// All members of a cluster.
pub(crate) struct Cluster {
    etcd: Etcd,
    namespaces: AtomicU64,
}

impl Deref for Cluster {
    type Target = Etcd;
    fn deref(&self) -> &Etcd {
        &self.etcd
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Etcd {
        &mut self.etcd
    }
}

impl Cluster {
    /// Starts that many members, and waits until they serve.
    pub(crate) async fn start(members: usize) -> Self {
        Self { etcd: Etcd::start(members).await, namespaces: AtomicU64::new(0) }
    }

    /// A store in a namespace of its own.
    pub(crate) fn store(&self) -> EtcdStore {
        self.patient(EtcdOptions::new(self.addresses()).patience)
    }

    /// So many stores in one namespace. Each begins with any of the members.
    pub(crate) fn stores(&self, count: usize) -> Vec<EtcdStore> {
        let options = EtcdOptions::new(self.addresses());
        (0..count).map(|_| EtcdStore::open(&options).unwrap()).collect()
    }

    /// The same, with a patience of its own.
    pub(crate) fn patient(&self, patience: Duration) -> EtcdStore {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("test.{number}");
        let options = EtcdOptions { namespace, patience, ..EtcdOptions::new(self.addresses()) };
        EtcdStore::open(&options).unwrap()
    }
}

/// Compacts all history before what is newest now.
pub(crate) async fn compact(cluster: &Cluster, store: &dyn MetaStore) {
    let (_, revision) = store.list("", None, 0).await.unwrap();
    let body = format!("{{\"revision\":\"{revision}\",\"physical\":true}}");
    let answer = gateway::post(cluster.nodes[0].socket(), "kv/compaction", &body).await;
    assert!(answer.contains(" 200 OK"), "{answer}");
}
