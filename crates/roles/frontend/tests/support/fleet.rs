//! Assignment and a worker without microVMs. What a function does is its
//! handler's name, so a test picks a behaviour by creating a function.

use async_trait::async_trait;
use bytes::Bytes;
use hearth_services::assignment::*;
use hearth_services::logs::{LogChunk, LogReader};
use hearth_services::worker::*;
use hearth_types::*;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Both, and what they saw.
pub struct FakeFleet {
    worker: WorkerId,
    idle: Mutex<HashMap<VersionKey, Vec<SandboxId>>>,
    busy: Mutex<HashMap<SandboxId, Arc<FunctionVersion>>>,
    /// Events that reached the worker, in order.
    pub events: Mutex<Vec<Invocation>>,
    /// Sandboxes given back, and how.
    pub released: Mutex<Vec<(SandboxId, Disposition)>>,
    /// `acquire` calls.
    pub acquires: AtomicUsize,
    /// Invocations of `wait` take a permit each before they answer.
    pub gate: Semaphore,
}

impl FakeFleet {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            worker: WorkerId::new(),
            idle: Mutex::default(),
            busy: Mutex::default(),
            events: Mutex::default(),
            released: Mutex::default(),
            acquires: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        })
    }
}

fn failure(kind: &str) -> FunctionFailure {
    let body = format!(r#"{{"errorType":"{kind}","errorMessage":"as asked"}}"#);
    FunctionFailure { body: body.into() }
}

#[async_trait]
impl Assignment for FakeFleet {
    async fn acquire(
        &self,
        version: &Arc<FunctionVersion>,
        _: StartKind,
    ) -> Result<Acquired, AcquireError> {
        self.acquires.fetch_add(1, Ordering::SeqCst);
        let stages = StageTimes { assign: Duration::from_micros(7), ..StageTimes::default() };
        match version.handler.as_str() {
            "full.account" => return Err(AcquireError::AccountConcurrency),
            "full.host" => return Err(AcquireError::NoCapacity),
            "init.fails" => {
                let failure = InitFailure::Reported(failure("Runtime.ImportModuleError"));
                return Err(AcquireError::InitFailed { failure, stages });
            }
            "init.exits" => {
                let text = "Runtime exited with error: exit status 1".to_owned();
                let failure = InitFailure::Befell { error_type: "Runtime.ExitError".into(), text };
                return Err(AcquireError::InitFailed { failure, stages });
            }
            "image.missing" => {
                let error = CreateError::RuntimeNotBuilt(version.runtime);
                return Err(AcquireError::Create(error));
            }
            "vm.fails" => {
                return Err(AcquireError::Create(CreateError::Vm("secret internal detail".into())));
            }
            _ => {}
        }
        let warm = self.idle.lock().get_mut(&version.key).and_then(Vec::pop);
        let sandbox = warm.unwrap_or_else(SandboxId::new);
        self.busy.lock().insert(sandbox, version.clone());
        let start = if warm.is_some() { StartKind::Warm } else { StartKind::Cold };
        let hold = Hold { reign: Reign::ALONE, serial: 1 };
        Ok(Acquired { sandbox, worker: self.worker, hold, start, stages })
    }

    async fn release(&self, sandbox: SandboxId, _: Hold, disposition: Disposition) {
        self.released.lock().push((sandbox, disposition));
        let version = self.busy.lock().remove(&sandbox).expect("released once");
        if disposition == Disposition::Reusable {
            self.idle.lock().entry(version.key.clone()).or_default().push(sandbox);
        }
    }

    async fn list(&self, account: &AccountId) -> Vec<SandboxInfo> {
        let idle = self.idle.lock();
        let mine = idle.iter().filter(|(key, _)| key.account == *account);
        mine.flat_map(|(key, ids)| ids.iter().map(move |id| (key, *id)))
            .map(|(key, id)| SandboxInfo {
                id,
                worker: Some(self.worker),
                function: key.function.clone(),
                version: key.version,
                memory: MemoryMb::default(),
                state: SandboxState::Idle,
                created: Timestamp::now(),
                last_used: Timestamp::now(),
                invocations: 1,
            })
            .collect()
    }
}

#[async_trait]
impl Worker for FakeFleet {
    async fn create(
        &self,
        _: SandboxId,
        _: &Arc<FunctionVersion>,
        _: StartKind,
        _: Reign,
    ) -> Result<Created, CreateError> {
        Err(CreateError::NoCapacity)
    }

    async fn invoke(&self, id: SandboxId, event: Invocation) -> Result<Invoked, InvokeError> {
        let version = self.busy.lock().get(&id).cloned().expect("acquired before");
        let payload = event.payload.clone();
        let log_tail = event.log_tail.then(|| Bytes::from("START\nEND\nREPORT\n"));
        self.events.lock().push(event);
        let result = match version.handler.as_str() {
            "gone.once" if self.acquires.load(Ordering::SeqCst) == 1 => {
                return Err(InvokeError::Gone);
            }
            "gone.always" => return Err(InvokeError::Gone),
            "busy.always" => return Err(InvokeError::Busy("as asked".into())),
            "panics.inside" => panic!("as asked"),
            "handler.error" => InvokeResult::HandlerError(failure("ValueError")),
            "crash.now" => InvokeResult::SandboxFailed(failure("Runtime.ExitError")),
            "wait.for" => {
                self.gate.acquire().await.expect("never closed").forget();
                InvokeResult::Response(payload)
            }
            "large.response" => {
                InvokeResult::Response(vec![b' '; INVOKE_RESPONSE_BYTES_MAX].into())
            }
            _ => InvokeResult::Response(payload),
        };
        Ok(Invoked { result, run: Duration::from_micros(1_250), memory_used_mb: 38, log_tail })
    }

    async fn kill(&self, _: SandboxId, _: Reign) {}

    async fn sandboxes(&self, _: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
        Ok(Vec::new())
    }

    async fn status(&self) -> Option<WorkerStatus> {
        Some(WorkerStatus {
            worker: self.worker,
            total: Room::default(),
            promised: Room::default(),
            sandbox_overhead: Room::default(),
            sandboxes: 0,
            sandboxes_max: 0,
            revision: 0,
            cpus: 0,
            cpu_milli_busy: 0,
            functions: Vec::new(),
            creating: Vec::new(),
            snapshots: Vec::new(),
            outcomes: Outcomes::default(),
        })
    }
}

/// The directory of the one worker.
pub struct OneWorker(pub Arc<FakeFleet>);

impl WorkerDirectory for OneWorker {
    fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>> {
        (*id == self.0.worker).then(|| self.0.clone() as Arc<dyn Worker>)
    }
    fn all(&self) -> Vec<(WorkerId, Arc<dyn Worker>)> {
        vec![(self.0.worker, self.0.clone())]
    }
}

/// A log of two lines for every function.
pub struct FakeLogs;

#[async_trait]
impl LogReader for FakeLogs {
    async fn read(
        &self,
        _: &AccountId,
        function: &FunctionName,
        from: u64,
    ) -> std::io::Result<LogChunk> {
        let whole = format!("{function} one\n{function} two\n");
        let text = whole.get(from as usize..).unwrap_or_default().to_owned();
        Ok(LogChunk { text, next: whole.len() as u64 })
    }
}
