//! The front end's life: accepts connections, keeps the caches true, shuts down.

use crate::call::Shared;
use crate::config::Config;
use crate::idle::IdleConnections;
use crate::payloads::Payloads;
use crate::{FrontendDeps, FrontendOptions, connection};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed accept; it fails when file descriptors run out, and
/// trying again at once would only burn the CPU that could free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often idle connections are asked again to make room.
const PLACE_RETRY: Duration = Duration::from_millis(50);

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Calls were still running when the grace period ended.
    #[error("shutdown grace ended with {0} calls still running")]
    GraceEnded(usize),
}

/// A front end, ready to serve.
pub struct Frontend {
    shared: Arc<Shared>,
}

impl Frontend {
    /// Makes one. It does nothing until it serves.
    pub fn new(deps: FrontendDeps, options: FrontendOptions) -> Self {
        let shared = Shared {
            router: hearth_lambda_api::Router::new(),
            config: Config::new(&deps.metastore),
            payloads: Payloads::new(&options),
            idle: Arc::default(),
            calls: Arc::new(Semaphore::new(options.calls_max)),
            tasks: TaskTracker::new(),
            deps,
            options,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves until `shutdown`, then lets running calls finish, within the
    /// grace period.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        let shared = self.shared;
        // The caches stay true until the last call is done.
        let follow_end = CancellationToken::new();
        let _ends_with_this = follow_end.clone().drop_guard();
        // Without it keys that were revoked would go on opening doors.
        let follower = hearth_tasks::spawn_vital("config cache", shutdown.clone(), {
            let shared = shared.clone();
            let follow_end = follow_end.clone();
            async move { shared.config.follow(follow_end).await }
        });
        let mut connections = accept(&shared, listener, &shutdown).await;

        shared.tasks.close();
        let drained = async {
            while connections.join_next().await.is_some() {}
            shared.tasks.wait().await;
        };
        let grace = tokio::time::timeout(shared.options.shutdown_grace, drained).await;
        follow_end.cancel();
        if let Err(panic) = follower.await {
            tracing::error!(error = &panic as &dyn std::error::Error, "the cache's task failed");
        }
        // Connections that are left are cut when the set is dropped; those without
        // a call had clients that would not take their responses.
        match (grace, shared.tasks.len()) {
            (Err(_elapsed), calls @ 1..) => Err(ServeError::GraceEnded(calls)),
            _ => Ok(()),
        }
    }
}

async fn accept(
    shared: &Arc<Shared>,
    listener: TcpListener,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(shared.options.connections_max));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return connections,
            accepted = listener.accept() => accepted,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let place = tokio::select! {
                    () = shutdown.cancelled() => return connections,
                    place = place(&places, &shared.idle) => place,
                };
                let (shared, shutdown) = (shared.clone(), shutdown.clone());
                hearth_tasks::spawn_in(&mut connections, "connection", async move {
                    let _place = place;
                    connection::serve(shared, stream, shutdown).await;
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A place for one more connection; if there is none, idle ones make room.
async fn place(places: &Arc<Semaphore>, idle: &IdleConnections) -> OwnedSemaphorePermit {
    if let Ok(place) = places.clone().try_acquire_owned() {
        return place;
    }
    loop {
        idle.close_longest();
        let freed = tokio::time::timeout(PLACE_RETRY, places.clone().acquire_owned());
        if let Ok(Ok(place)) = freed.await {
            return place;
        }
    }
}
