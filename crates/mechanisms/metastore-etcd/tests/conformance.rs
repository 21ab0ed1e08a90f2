//! The etcd engine passes the suite of the contract, on a member of its own.

mod support;

use async_trait::async_trait;
use hearth_metastore::conformance::Fixture;
use hearth_metastore_etcd::EtcdStore;
use hearth_services::metastore::MetaStore;
use std::sync::Arc;
use support::Cluster;

struct Etcd {
    cluster: Arc<Cluster>,
    store: EtcdStore,
}

#[async_trait]
impl Fixture for Etcd {
    fn store(&self) -> &dyn MetaStore {
        &self.store
    }
    async fn forget_history(&self) {
        support::compact(&self.cluster, &self.store).await;
    }
}

/// Starts etcd; what that makes then is a namespace in it, as good as empty.
fn etcd() -> impl Fn() -> Etcd {
    // Within a test there is a runtime around us, in which another may not block.
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Cluster::start(1))
    };
    let cluster = Arc::new(std::thread::scope(|s| s.spawn(start).join().unwrap()));
    move || Etcd { cluster: cluster.clone(), store: cluster.store() }
}

hearth_metastore::conformance!(etcd());
