//! Learning what restores touch, from the first few clones of each snapshot.

use crate::sandbox::Sandbox;
use crate::{WorkerService, damage, snapshot_metrics};
use hearth_page_server::{AccessLog, CloneFile, WorkingSet};
use hearth_snapshot_store::{Name, Stored, WorkingSetOf};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Clones that a working set is learnt from; after that it hardly changes.
const RECORDINGS: usize = 3;
/// Snapshots that are being learnt about at once; those beyond learn later.
const LEARNING_MAX: usize = 64;

/// Whether enough clones were seen.
fn is_known(snapshot: &Stored) -> bool {
    snapshot.record.recordings as usize >= RECORDINGS
}

/// A clone whose touches are of interest once it has served its first event: to learn
/// from, or to see how well that was learnt.
pub(crate) struct Recording {
    snapshot: Arc<Stored>,
    memory: Arc<CloneFile>,
}

impl Recording {
    /// Of a clone.
    pub(crate) fn of(snapshot: &Arc<Stored>, memory: &Arc<CloneFile>) -> Self {
        Self { snapshot: Arc::clone(snapshot), memory: Arc::clone(memory) }
    }
}

/// What clones touched, by snapshot.
#[derive(Default)]
pub(crate) struct Learning {
    logs: Mutex<HashMap<Name, Vec<AccessLog>>>,
    /// One snapshot is improved at a time.
    improving: tokio::sync::Mutex<()>,
}

impl Learning {
    /// Notes what a clone touched; all that is known, when it is worth keeping.
    fn note(&self, name: &Name, log: AccessLog) -> Option<WorkingSetOf> {
        let mut all = self.logs.lock();
        if !all.contains_key(name) && all.len() >= LEARNING_MAX {
            return None;
        }
        let logs = all.entry(name.clone()).or_default();
        if logs.len() >= RECORDINGS {
            return None;
        }
        logs.push(log);
        // The first is worth much at once; the others make sure of it.
        let known = [1, RECORDINGS].contains(&logs.len()).then(|| WorkingSetOf {
            pages: WorkingSet::merge(logs).pages().iter().map(|page| page.0).collect(),
            recordings: logs.len() as u32,
        });
        if logs.len() == RECORDINGS {
            all.remove(name);
        }
        known
    }
}

/// Takes a clone's touches once it has served its first event, in the background.
pub(crate) fn learn(worker: &Arc<WorkerService>, sandbox: &Arc<Sandbox>, recording: Recording) {
    let (weak, sandbox) = (Arc::downgrade(worker), Arc::clone(sandbox));
    hearth_tasks::spawn_tracked(&worker.watchers, "working set", async move {
        let Recording { snapshot, memory } = recording;
        // Its page server is gone, which is told elsewhere.
        let Ok(stats) = memory.stats().await else { return };
        if snapshot.pack.is_some() {
            snapshot_metrics::touched(stats.pushed_pages + stats.joined_pages, stats.source_pages);
        }
        let Some(worker) = weak.upgrade() else { return };
        if worker.damage.was_seen() || stats.prefetch.is_some_and(|prefetch| !prefetch.whole) {
            damage::suspect_origin(&worker, &sandbox);
        }
        drop(worker);
        drop(sandbox);
        if is_known(&snapshot) {
            return;
        }
        let log = match memory.log().await {
            Ok(log) => log,
            Err(_) => return,
        };
        let Some(worker) = weak.upgrade() else { return };
        let Some(set) = worker.learning.note(&snapshot.name, log) else { return };
        let Some(serving) = &worker.serving else { return };
        let _alone = worker.learning.improving.lock().await;
        // As it is now: other clones may have been quicker.
        let Ok(snapshot) = worker.snapshot(&snapshot.name).await else { return };
        if snapshot.record.recordings >= set.recordings {
            return;
        }
        match serving.snapshots.learn(&snapshot, &set).await {
            Ok(better) => {
                tracing::info!(snapshot = %snapshot.name, pages = set.pages.len(),
                    recordings = set.recordings, "learnt a working set");
                worker.replace(Arc::new(better));
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a working set could not be kept"
            ),
        }
    });
}
