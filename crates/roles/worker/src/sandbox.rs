//! One sandbox: its microVM, the stream to its agent, and all it holds on the
//! host.

use crate::admission::Reservation;
use crate::channel::AgentChannel;
use crate::code::Code;
use crate::holding::Holding;
use crate::learning::Recording;
use crate::making::Served;
use crate::newcomers::Newcomer;
use hearth_function_logs::LogWriter;
use hearth_services::worker::{Doing, HeldSandbox};
use hearth_types::{FunctionVersion, Partition, SandboxId};
use hearth_vmm::Vm;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A living sandbox.
pub(crate) struct Sandbox {
    pub(crate) id: SandboxId,
    pub(crate) version: Arc<FunctionVersion>,
    /// Whose leader has a say in it.
    pub(crate) partition: Partition,
    /// In whose name it runs events.
    pub(crate) holding: Holding,
    pub(crate) log: LogWriter,
    /// Held for the length of an invocation: one at a time.
    pub(crate) channel: tokio::sync::Mutex<AgentChannel>,
    /// What its snapshot is to learn from it, until it has served an event.
    pub(crate) recording: parking_lot::Mutex<Option<Recording>>,
    /// It has not answered an event yet.
    pub(crate) newcomer: parking_lot::Mutex<Option<Newcomer>>,
    /// Its microVM ended under an event.
    pub(crate) is_lost: AtomicBool,
    pub(crate) resources: Resources,
}

impl Sandbox {
    /// What its partition's leader is told.
    pub(crate) fn held(&self) -> HeldSandbox {
        let (hold, is_busy) = self.holding.now();
        let doing = if is_busy { Doing::Busy } else { Doing::Idle };
        HeldSandbox { id: self.id, key: self.version.key.clone(), hold, doing }
    }
}

/// What a sandbox holds on the host, from the first moment of its creation.
pub(crate) struct Resources {
    pub(crate) vm: Arc<dyn Vm>,
    /// Its own files; removed with it.
    pub(crate) dir: PathBuf,
    /// Which page server serves its files.
    pub(crate) generation: Option<u64>,
    /// Those files, and the snapshot that they are of.
    pub(crate) _served: Served,
    /// Keeps the function's image from collections.
    pub(crate) _code: Code,
    /// Its share of the worker; given back on drop.
    pub(crate) _reservation: Reservation,
}

impl Resources {
    /// Kills the microVM and removes its files. Idempotent.
    pub(crate) async fn release(&self) {
        self.vm.kill().await;
        remove_dir(&self.dir).await;
    }
}

/// Removes the directory of a guest that is no sandbox yet when whoever makes it is
/// through, or is cut off.
pub(crate) struct DirGuard(Option<PathBuf>);

impl DirGuard {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self(Some(dir))
    }

    /// Leaves it to somebody else.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for DirGuard {
    fn drop(&mut self) {
        // Two files at most: it blocks for a moment.
        if let Some(dir) = &self.0
            && let Err(error) = std::fs::remove_dir_all(dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "cannot remove a guest's files");
        }
    }
}

/// Removes a sandbox's directory; one that is gone already is no error.
pub(crate) async fn remove_dir(dir: &std::path::Path) {
    if let Err(error) = tokio::fs::remove_dir_all(dir).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(dir = %dir.display(), %error, "cannot remove a sandbox's files");
    }
}
