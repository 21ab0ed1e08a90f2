//! `Worker` across processes.

use crate::wire::{
    AROUND_PAYLOAD_BYTES, CreateFailure, WITH_FAILURE_BYTES_MAX, had_no_effect, is_over_limit,
};
use async_trait::async_trait;
use hearth_rpc::{CallError, Channel, Method, Router};
use hearth_services::worker::{
    CreateError, Created, Deposed, HeldSandbox, Invocation, InvokeError, Invoked, SandboxesError,
    Worker, WorkerStatus,
};
use hearth_types::{
    FunctionVersion, INIT_SNAPSHOT_S, INVOKE_PAYLOAD_BYTES_MAX, INVOKE_RESPONSE_BYTES_MAX, Reign,
    SandboxId, StartKind,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const CREATE: Method = Method::new("hearth.Worker/Create").answer_bytes_max(WITH_FAILURE_BYTES_MAX);
const INVOKE: Method = Method::new("hearth.Worker/Invoke")
    .request_bytes_max(INVOKE_PAYLOAD_BYTES_MAX + AROUND_PAYLOAD_BYTES)
    .answer_bytes_max(INVOKE_RESPONSE_BYTES_MAX + AROUND_PAYLOAD_BYTES);
const KILL: Method = Method::new("hearth.Worker/Kill");
const SANDBOXES: Method =
    Method::new("hearth.Worker/Sandboxes").answer_bytes_max(SANDBOXES_BYTES_MAX);
const STATUS: Method = Method::new("hearth.Worker/Status");

/// Of a partition's sandboxes on one worker, some 300 bytes each.
const SANDBOXES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest creation: a wait for a place, and the longest start and init that there is,
/// where guests are emulated.
const CREATE_MAX: Duration = Duration::from_secs(60 + 4 * INIT_SNAPSHOT_S);
/// What an event's way may take beyond its own time.
const INVOKE_MARGIN: Duration = Duration::from_secs(30);
const KILL_MAX: Duration = Duration::from_secs(30);
/// A worker that takes longer to say how it is is not well.
const ASK_MAX: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Create {
    id: SandboxId,
    version: Arc<FunctionVersion>,
    quickest: StartKind,
    reign: Reign,
}

#[derive(Serialize, Deserialize)]
struct Invoke {
    id: SandboxId,
    event: Invocation,
}

#[derive(Serialize, Deserialize)]
struct Kill {
    id: SandboxId,
    reign: Reign,
}

/// The sandbox is gone.
#[derive(Serialize, Deserialize)]
struct Gone;

/// Serves a worker's methods.
pub fn serve_worker(router: Router, worker: Arc<dyn Worker>) -> Router {
    let [create, invoke, kill, sandboxes, status] = std::array::from_fn(|_| Arc::clone(&worker));
    router
        .method(CREATE, move |_, Create { id, version, quickest, reign }| {
            let worker = Arc::clone(&create);
            async move {
                let created = worker.create(id, &version, quickest, reign).await;
                created.map_err(CreateFailure::from)
            }
        })
        .method(INVOKE, move |_, Invoke { id, event }| {
            let worker = Arc::clone(&invoke);
            async move { worker.invoke(id, event).await.map_err(|_gone_or_lost| Gone) }
        })
        .method(KILL, move |_, Kill { id, reign }| {
            let worker = Arc::clone(&kill);
            async move { worker.kill(id, reign).await }
        })
        .method(SANDBOXES, move |_, reign: Reign| {
            let worker = Arc::clone(&sandboxes);
            async move {
                match worker.sandboxes(reign).await {
                    Ok(held) => Ok(held),
                    Err(SandboxesError::Deposed(deposed)) => Err(Some(deposed)),
                    Err(SandboxesError::Unreachable(_)) => Err(None::<Deposed>),
                }
            }
        })
        .method(STATUS, move |_, (): ()| {
            let worker = Arc::clone(&status);
            async move { worker.status().await }
        })
}

/// A worker in another process.
pub(crate) struct RemoteWorker(pub(crate) Channel);

#[async_trait]
impl Worker for RemoteWorker {
    async fn create(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        reign: Reign,
    ) -> Result<Created, CreateError> {
        let request = Create { id, version: Arc::clone(version), quickest, reign };
        let deadline = Instant::now() + CREATE_MAX;
        let answer: Result<Result<Created, CreateFailure>, CallError> =
            self.0.call(&CREATE, &request, deadline).await;
        match answer {
            Ok(created) => created.map_err(CreateError::from),
            Err(error) => Err(CreateError::Unreachable(Box::new(error))),
        }
    }

    async fn invoke(&self, id: SandboxId, event: Invocation) -> Result<Invoked, InvokeError> {
        let deadline = Instant::now() + event.timeout + INVOKE_MARGIN;
        let answer: Result<Result<Invoked, Gone>, CallError> =
            self.0.call(&INVOKE, &Invoke { id, event }, deadline).await;
        match answer {
            Ok(invoked) => invoked.map_err(|Gone| InvokeError::Gone),
            Err(error) if is_over_limit(&error) => Err(InvokeError::Busy(Box::new(error))),
            Err(error) if had_no_effect(&error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a sandbox's worker was not reached"
                );
                Err(InvokeError::Gone)
            }
            Err(error) => Err(InvokeError::Lost(Box::new(error))),
        }
    }

    async fn kill(&self, id: SandboxId, reign: Reign) {
        let deadline = Instant::now() + KILL_MAX;
        if let Err(error) = self.0.call::<_, ()>(&KILL, &Kill { id, reign }, deadline).await {
            tracing::debug!(sandbox = %id, error = &error as &dyn std::error::Error,
                "a sandbox's end was not confirmed; its worker will be asked");
        }
    }

    async fn sandboxes(&self, reign: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
        let deadline = Instant::now() + ASK_MAX;
        let answer: Result<Result<Vec<HeldSandbox>, Option<Deposed>>, CallError> =
            self.0.call(&SANDBOXES, &reign, deadline).await;
        match answer {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(Some(deposed))) => Err(deposed.into()),
            Ok(Err(None)) => Err(SandboxesError::Unreachable("it cannot tell".into())),
            Err(error) => Err(SandboxesError::Unreachable(Box::new(error))),
        }
    }

    async fn status(&self) -> Option<WorkerStatus> {
        let status = self.0.call(&STATUS, &(), Instant::now() + ASK_MAX).await;
        status
            .inspect_err(|error| {
                tracing::debug!(
                    error = error as &dyn std::error::Error,
                    "a worker does not say how it is"
                );
            })
            .ok()
    }
}
