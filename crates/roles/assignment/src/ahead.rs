//! Sandboxes that are made before the event that they are for: where the keeper expects one,
//! and a worker has room for it as things are. Nothing is evicted for them.

use crate::AssignmentService;
use crate::acquire::Starting;
use crate::metrics;
use hearth_services::keys;
use hearth_services::metastore::MetaStore;
use hearth_types::{FunctionVersion, SandboxId, StartKind, State, VersionKey};
use std::sync::Arc;

/// One that is being made; its place is another's once this is dropped.
struct Making {
    service: Arc<AssignmentService>,
    key: Arc<VersionKey>,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.service.keeper.lock().made(&self.key);
    }
}

impl AssignmentService {
    /// Begins to make as many as may be made at once.
    pub(crate) fn make_ahead(self: &Arc<Self>, store: &Arc<dyn MetaStore>) {
        loop {
            let now = self.now().at;
            let next = {
                let mut keeper = self.keeper.lock();
                keeper.next_ahead(&self.table.lock(), now)
            };
            let Some(key) = next else { return };
            let making = Making { service: Arc::clone(self), key };
            let store = Arc::clone(store);
            hearth_tasks::spawn_tracked(&self.ahead, "sandbox made ahead", async move {
                let made = making.service.make_one(&*store, &making.key).await;
                metrics::made_ahead(made);
            });
        }
    }

    /// Whether it is there now.
    async fn make_one(&self, store: &dyn MetaStore, key: &VersionKey) -> bool {
        let Some(version) = current(store, key).await else { return false };
        let sandbox = SandboxId::new();
        let now = self.now();
        self.table.lock().begin_ahead(&(&*version).into(), now, sandbox);
        let starting = Starting::new(&self.table, sandbox);
        // An update that came before it was noted has not retired it.
        if current(store, key).await.is_none() {
            return false;
        }
        match self.start(sandbox, &version, StartKind::Warm, false).await {
            Ok((_, placed)) => {
                let now = self.now();
                let doomed = starting.became(|table| table.made_ahead(sandbox, placed.worker, now));
                if let Some(worker) = doomed {
                    metrics::ended(metrics::End::Retired, 1);
                    self.kill_in_background(sandbox, worker);
                }
                doomed.is_none()
            }
            Err(error) => {
                tracing::debug!(%sandbox, error = &error as &dyn std::error::Error,
                    "no sandbox was made ahead; its event starts one");
                false
            }
        }
    }
}

/// The version, if it is still the same and can be invoked.
async fn current(store: &dyn MetaStore, key: &VersionKey) -> Option<Arc<FunctionVersion>> {
    let name = keys::version(&key.account, &key.function, key.version);
    let found = store.get(&name).await.ok()??;
    let version: FunctionVersion = keys::decode(&found.value).ok()?;
    let is_current = version.key == *key && version.state == State::Active;
    is_current.then(|| Arc::new(version))
}
