//! Worker: runs sandboxes.

use async_trait::async_trait;
use bytes::Bytes;
use hearth_types::{
    AccountId, FunctionName, FunctionVersion, Hold, Reign, RequestId, Room, Runtime, SandboxId,
    SnapshotId, StageTimes, StartKind, VersionKey, WorkerId, ZoneName,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// A function's own failure, as its caller gets to see it: the body of a
/// response that carries `X-Amz-Function-Error: Unhandled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionFailure {
    /// The JSON body (`errorType`, `errorMessage`, …).
    pub body: Bytes,
}

impl FunctionFailure {
    /// What befell a function, as opposed to what it reported itself.
    pub fn befell(request: RequestId, error_type: &str, text: &str) -> Self {
        let message = format!("RequestId: {request} Error: {text}");
        Self::of(error_type, &message)
    }

    /// The body that Lambda makes of an error that no runtime reported.
    pub fn of(error_type: &str, message: &str) -> Self {
        let json = serde_json::json!({ "errorType": error_type, "errorMessage": message });
        Self { body: json.to_string().into() }
    }
}

/// Why a function did not initialise. Its text names the request that it was
/// to initialise for, which whoever made the sandbox does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitFailure {
    /// What the runtime reported: passed on as it is, as AWS does.
    Reported(FunctionFailure),
    /// What befell it.
    Befell {
        /// `errorType`.
        error_type: Cow<'static, str>,
        /// What happened.
        text: String,
    },
}

impl InitFailure {
    /// The answer to the caller of `request`.
    pub fn for_request(self, request: RequestId) -> FunctionFailure {
        match self {
            Self::Reported(failure) => failure,
            Self::Befell { error_type, text } => {
                FunctionFailure::befell(request, &error_type, &text)
            }
        }
    }
}

/// What creating a sandbox took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Created {
    /// Booted or restored.
    pub start: StartKind,
    /// Time spent, by stage.
    pub stages: StageTimes,
    /// The worker's revision that has it, as in [`WorkerStatus::revision`].
    pub revision: u64,
}

/// Why a sandbox was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The worker has no room for it; nothing was started.
    #[error("the worker is full")]
    NoCapacity,
    /// The worker has no guest image of the function's runtime.
    #[error("there is no guest image of {0}")]
    RuntimeNotBuilt(Runtime),
    /// The function failed to initialise. Already in its log.
    #[error("the function failed to initialise")]
    InitFailed {
        /// The failure.
        failure: InitFailure,
        /// Time spent, by stage.
        stages: StageTimes,
    },
    /// A hook of the function failed in a clone. Already in its log.
    #[error("a hook of the function failed in a clone of its snapshot")]
    RestoreFailed {
        /// The failure.
        failure: InitFailure,
    },
    /// The function's hooks took too long in a clone. Already in its log.
    #[error("the function's hooks took too long in a clone of its snapshot")]
    RestoreTimedOut,
    /// An image or the code could not be brought to the worker.
    #[error("code or image could not be fetched")]
    Fetch(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The microVM could not be started or did not answer.
    #[error("the microVM did not start")]
    Vm(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The worker is going down.
    #[error("the worker is shutting down")]
    ShuttingDown,
    /// Whoever ordered it leads no more.
    #[error(transparent)]
    Deposed(#[from] Deposed),
    /// The worker was not reached, or was lost meanwhile. What it may have started serves
    /// nobody, and goes once it is heard of.
    #[error("the worker cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An order came in the name of a leader after whom another has begun. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{ordered} is over: epoch {current} has begun")]
pub struct Deposed {
    /// In whose name.
    pub ordered: Reign,
    /// The epoch that the worker knows of.
    pub current: u64,
}

/// How a sandbox got ready for its first event, and what that took of the function's
/// own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Started {
    /// Its function was initialised.
    Initialised(Duration),
    /// It is a clone of one that was.
    Restored(Duration),
}

/// One event for a sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invocation {
    /// By what right it runs in the sandbox.
    pub hold: Hold,
    /// Its id.
    pub request_id: RequestId,
    /// The ARN the caller used, for the runtime's header.
    pub invoked_arn: String,
    /// `X-Amzn-Trace-Id`.
    pub trace_id: String,
    /// Decoded `ClientContext` JSON.
    pub client_context: Option<String>,
    /// The event.
    pub payload: Bytes,
    /// How long it may run.
    pub timeout: Duration,
    /// How the sandbox got ready, to report on its first invocation.
    pub started: Option<Started>,
    /// Whether the caller wants the log's tail.
    pub log_tail: bool,
}

/// How an invocation ended, as far as its caller is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvokeResult {
    /// The handler's response.
    Response(Bytes),
    /// The handler raised an error; the sandbox lives on.
    HandlerError(FunctionFailure),
    /// Timeout, crash, out of memory, too large a response: the failure is the
    /// caller's answer, and the sandbox must be discarded.
    SandboxFailed(FunctionFailure),
}

/// A finished invocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invoked {
    /// How it ended.
    pub result: InvokeResult,
    /// Time in the guest.
    pub run: Duration,
    /// Most memory the function held, in MB.
    pub memory_used_mb: u32,
    /// The last 4 KiB of its log, when asked for.
    pub log_tail: Option<Bytes>,
}

/// The worker could not run the invocation at all.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The sandbox is not here (killed, evicted, died while idle), or another's by now.
    /// The event never reached it, so another sandbox may run it.
    #[error("the sandbox is gone")]
    Gone,
    /// The worker has more under way than it takes on. The event never reached the sandbox,
    /// which is as it was.
    #[error("the worker takes on no more")]
    Busy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The worker died or was cut off meanwhile. The event may have run.
    #[error("the worker was lost while the event ran")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A sandbox as its worker knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSandbox {
    /// Which.
    pub id: SandboxId,
    /// Whose.
    pub key: VersionKey,
    /// In whose name it ran its last event, or runs one.
    pub hold: Option<Hold>,
    /// What it does.
    pub doing: Doing,
}

/// What a sandbox does, as its worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doing {
    /// It is being created.
    Starting,
    /// It waits for an event.
    Idle,
    /// It runs one.
    Busy,
}

/// A worker did not tell its sandboxes.
#[derive(Debug, thiserror::Error)]
pub enum SandboxesError {
    /// Whoever asks leads no more.
    #[error(transparent)]
    Deposed(#[from] Deposed),
    /// It did not answer.
    #[error("the worker did not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a worker may still do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// All.
    #[default]
    Serving,
    /// It gets no sandboxes; what it has stays.
    Cordoned,
    /// It gets none; what is idle goes, what is busy ends.
    Draining,
}

/// What came of a worker's sandboxes since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Created.
    pub created: u64,
    /// Not created, for no reason of the function's.
    pub failed: u64,
    /// Ended by themselves.
    pub lost: u64,
}

/// A worker's room, as placement sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Which worker.
    pub worker: WorkerId,
    /// What sandboxes may take.
    pub total: Room,
    /// Of it, promised to living sandboxes.
    pub promised: Room,
    /// What each sandbox is promised beyond its function's own.
    pub sandbox_overhead: Room,
    /// Living sandboxes.
    pub sandboxes: u32,
    /// Most sandboxes it will hold.
    pub sandboxes_max: u32,
    /// Grows whenever a sandbox is admitted or gone: orders what a worker said.
    pub revision: u64,
    /// Its processors.
    pub cpus: u32,
    /// Thousandths of them that the functions which run now may use.
    pub cpu_milli_busy: u64,
    /// How many sandboxes it has of each function, those in creation among them.
    pub functions: Vec<(AccountId, FunctionName, u32)>,
    /// Sandboxes that were admitted, and so are part of what is promised, and are being
    /// created.
    #[serde(default)]
    pub creating: Vec<SandboxId>,
    /// Functions' snapshots that it has at hand.
    pub snapshots: Vec<SnapshotId>,
    /// What came of its sandboxes.
    #[serde(default)]
    pub outcomes: Outcomes,
}

/// The service.
#[async_trait]
pub trait Worker: Send + Sync {
    /// Creates and initialises a sandbox for the leader of `reign`, by no quicker kind of
    /// start than `quickest`. Admits or refuses at once.
    ///
    /// Not cancel-safe: run it to its end in a task of its own.
    async fn create(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        reign: Reign,
    ) -> Result<Created, CreateError>;

    /// Runs one event in an idle sandbox.
    ///
    /// Not cancel-safe: run it to its end in a task of its own.
    async fn invoke(&self, id: SandboxId, event: Invocation) -> Result<Invoked, InvokeError>;

    /// Kills a sandbox and frees all it held. Unknown ids are no error. An order in the
    /// name of a leader that was deposed does nothing.
    async fn kill(&self, id: SandboxId, reign: Reign);

    /// The sandboxes of a partition. From now on nobody's orders count but those of this
    /// epoch and later ones.
    async fn sandboxes(&self, reign: Reign) -> Result<Vec<HeldSandbox>, SandboxesError>;

    /// Room and load; none if it does not answer.
    async fn status(&self) -> Option<WorkerStatus>;
}

/// Finds a worker by its id: in one process the only one, in a cluster a client
/// of a remote one.
pub trait WorkerDirectory: Send + Sync {
    /// The worker, if it is known and not gone.
    fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>>;
    /// Every known worker.
    fn all(&self) -> Vec<(WorkerId, Arc<dyn Worker>)>;
    /// Where a worker stands; none where there are no zones.
    fn zone(&self, _id: &WorkerId) -> Option<ZoneName> {
        None
    }
    /// What it may still do: all, where nobody manages capacity.
    fn standing(&self, _id: &WorkerId) -> Standing {
        Standing::Serving
    }
}
