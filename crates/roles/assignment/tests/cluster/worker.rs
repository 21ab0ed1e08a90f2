//! A worker without microVMs, which panics when an invariant breaks.

use async_trait::async_trait;
use hearth_services::worker::*;
use hearth_types::*;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a creation takes.
const CREATE: Duration = Duration::from_millis(5);
/// The function that fails to initialise, with as many words as there may be.
pub(crate) const FAILS: &str = "fails";
/// What a kill takes.
const KILL: Duration = Duration::from_millis(100);

pub(crate) struct FakeWorker {
    pub(crate) id: WorkerId,
    sandboxes: Mutex<HashMap<SandboxId, Sandbox>>,
    fences: Mutex<HashMap<Partition, u64>>,
    room: AtomicUsize,
    creating: Mutex<usize>,
    pub(crate) created: AtomicUsize,
    /// Of [`FAILS`].
    pub(crate) failed: AtomicUsize,
    /// Orders that came too late.
    pub(crate) refused: AtomicUsize,
}

struct Sandbox {
    partition: Partition,
    held: HeldSandbox,
}

impl FakeWorker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            id: WorkerId::new(),
            sandboxes: Mutex::default(),
            fences: Mutex::default(),
            room: AtomicUsize::new(usize::MAX),
            creating: Mutex::default(),
            created: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        })
    }

    /// What it holds.
    pub(crate) fn held(&self) -> Vec<HeldSandbox> {
        self.sandboxes.lock().values().map(|sandbox| sandbox.held.clone()).collect()
    }

    /// Says from now on that a leader has begun that there never was.
    pub(crate) fn lie(&self, partition: Partition) {
        self.fences.lock().insert(partition, u64::MAX);
    }

    /// Has room for so many sandboxes.
    pub(crate) fn set_room(&self, room: usize) {
        self.room.store(room, Ordering::Relaxed);
    }

    /// Forgets a sandbox, as one whose microVM died.
    pub(crate) fn lose(&self, id: SandboxId) {
        self.sandboxes.lock().remove(&id).expect("it is here");
    }

    fn pass(&self, reign: Reign) -> Result<(), Deposed> {
        let mut fences = self.fences.lock();
        let current = fences.entry(reign.partition).or_insert(reign.epoch);
        if reign.epoch < *current {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Deposed { ordered: reign, current: *current });
        }
        *current = reign.epoch;
        Ok(())
    }
}

#[async_trait]
impl Worker for FakeWorker {
    async fn create(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        _: StartKind,
        reign: Reign,
    ) -> Result<Created, CreateError> {
        self.pass(reign)?;
        {
            let sandboxes = self.sandboxes.lock();
            let mut creating = self.creating.lock();
            if sandboxes.len() + *creating >= self.room.load(Ordering::Relaxed) {
                return Err(CreateError::NoCapacity);
            }
            *creating += 1;
        }
        tokio::time::sleep(CREATE).await;
        if version.key.function.as_str() == FAILS {
            *self.creating.lock() -= 1;
            self.failed.fetch_add(1, Ordering::Relaxed);
            let body = vec![b' '; INVOKE_RESPONSE_BYTES_MAX].into();
            let failure = InitFailure::Reported(FunctionFailure { body });
            return Err(CreateError::InitFailed { failure, stages: StageTimes::default() });
        }
        let held = HeldSandbox { id, key: version.key.clone(), hold: None, doing: Doing::Idle };
        let sandbox = Sandbox { partition: reign.partition, held };
        let mut sandboxes = self.sandboxes.lock();
        *self.creating.lock() -= 1;
        assert!(sandboxes.insert(id, sandbox).is_none(), "made twice");
        drop(sandboxes);
        self.created.fetch_add(1, Ordering::Relaxed);
        Ok(Created { start: StartKind::Cold, stages: StageTimes::default(), revision: 0 })
    }

    async fn invoke(&self, id: SandboxId, event: Invocation) -> Result<Invoked, InvokeError> {
        {
            let mut sandboxes = self.sandboxes.lock();
            let sandbox = sandboxes.get_mut(&id).ok_or(InvokeError::Gone)?;
            let held = &mut sandbox.held;
            if held.doing == Doing::Busy
                || held.hold.is_some_and(|last| !event.hold.is_after(&last))
            {
                return Err(InvokeError::Gone);
            }
            self.pass(event.hold.reign).map_err(|_| InvokeError::Gone)?;
            assert_eq!(held.key.function.as_str(), event.invoked_arn, "of another function");
            (held.hold, held.doing) = (Some(event.hold), Doing::Busy);
        }
        tokio::time::sleep(event.timeout).await;
        if let Some(sandbox) = self.sandboxes.lock().get_mut(&id) {
            sandbox.held.doing = Doing::Idle;
        }
        let result = InvokeResult::Response(event.payload);
        Ok(Invoked { result, run: event.timeout, memory_used_mb: 1, log_tail: None })
    }

    async fn kill(&self, id: SandboxId, reign: Reign) {
        if self.pass(reign).is_ok() {
            tokio::time::sleep(KILL).await;
            self.sandboxes.lock().remove(&id);
        }
    }

    async fn sandboxes(&self, reign: Reign) -> Result<Vec<HeldSandbox>, SandboxesError> {
        self.pass(reign)?;
        let sandboxes = self.sandboxes.lock();
        let of_it = sandboxes.values().filter(|sandbox| sandbox.partition == reign.partition);
        Ok(of_it.map(|sandbox| sandbox.held.clone()).collect())
    }

    async fn status(&self) -> Option<WorkerStatus> {
        None
    }
}
