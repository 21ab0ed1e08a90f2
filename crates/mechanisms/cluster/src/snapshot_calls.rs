//! `Snapshots` across processes: builds run on workers, and whoever has them built may be
//! elsewhere.

use crate::directory::Workers;
use crate::wire::{BuildFailure, WITH_FAILURE_BYTES_MAX, as_text, from_text, had_no_effect};
use async_trait::async_trait;
use hearth_rpc::{CallError, Method, Router};
use hearth_services::snapshots::{BuildError, RetainError, Snapshots};
use hearth_types::{FunctionVersion, INIT_SNAPSHOT_S, SnapshotId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const BUILD: Method =
    Method::new("hearth.Snapshots/Build").answer_bytes_max(WITH_FAILURE_BYTES_MAX);
const RETAIN: Method = Method::new("hearth.Snapshots/Retain").request_bytes_max(RETAIN_BYTES_MAX);

/// The names of all snapshots that are to stay, 40 bytes each: a million and more.
const RETAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest build: a start, the longest init, and storing what was captured.
const BUILD_MAX: Duration = Duration::from_secs(300 + 4 * INIT_SNAPSHOT_S);
const RETAIN_MAX: Duration = Duration::from_secs(600);

/// Serves a worker's builds.
pub fn serve_snapshots(router: Router, snapshots: Arc<dyn Snapshots>) -> Router {
    let (build, retain) = (Arc::clone(&snapshots), snapshots);
    router
        .method(BUILD, move |_, version: Arc<FunctionVersion>| {
            let snapshots = Arc::clone(&build);
            async move { snapshots.build(&version).await.map_err(BuildFailure::from) }
        })
        .method(RETAIN, move |_, live: BTreeSet<SnapshotId>| {
            let snapshots = Arc::clone(&retain);
            async move { snapshots.retain(&live).await.map_err(|error| as_text(&error)) }
        })
}

/// Builds on the workers of a cluster, on one after the other.
pub struct RemoteSnapshots {
    workers: Workers,
    next: AtomicUsize,
}

impl RemoteSnapshots {
    /// On these.
    pub fn new(workers: Workers) -> Self {
        Self { workers, next: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Snapshots for RemoteSnapshots {
    async fn build(&self, version: &Arc<FunctionVersion>) -> Result<SnapshotId, BuildError> {
        let channels = self.workers.channels();
        if channels.is_empty() {
            return Err(BuildError::NoCapacity);
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        for n in 0..channels.len() {
            let channel = &channels[(start + n) % channels.len()];
            let built: Result<Result<SnapshotId, BuildFailure>, CallError> =
                channel.call(&BUILD, version, Instant::now() + BUILD_MAX).await;
            match built {
                // Another may have room, or live on.
                Ok(Err(BuildFailure::NoCapacity | BuildFailure::ShuttingDown)) => {}
                Ok(built) => return built.map_err(BuildError::from),
                Err(error) if had_no_effect(&error) => {}
                Err(error) => return Err(BuildError::Failed(Box::new(error))),
            }
        }
        Err(BuildError::NoCapacity)
    }

    async fn retain(&self, live: &BTreeSet<SnapshotId>) -> Result<(), RetainError> {
        // They are all in one place: any worker can do it.
        let Some(channel) = self.workers.channels().into_iter().next() else {
            return Err(RetainError("there is no worker".into()));
        };
        let retained: Result<Result<(), String>, CallError> =
            channel.call(&RETAIN, live, Instant::now() + RETAIN_MAX).await;
        match retained {
            Ok(retained) => retained.map_err(|text| RetainError(from_text(text))),
            Err(error) => Err(RetainError(Box::new(error))),
        }
    }
}
