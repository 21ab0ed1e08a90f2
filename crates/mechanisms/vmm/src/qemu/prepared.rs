//! A VMM that waits for a captured guest.

use super::launch::{Launched, not_up};
use super::vm::QemuVm;
use crate::{DeviceState, PreparedVm, Vm, VmError};
use async_trait::async_trait;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long loading the state of devices may take, its files' first pages included.
const LOAD_WAIT_MAX: Duration = Duration::from_secs(20);

pub(super) struct PreparedQemu(pub(super) Launched);

#[async_trait]
impl PreparedVm for PreparedQemu {
    async fn resume(self: Box<Self>, state: DeviceState) -> Result<Arc<dyn Vm>, VmError> {
        let Self(mut launched) = *self;
        let process = launched.process.0.clone();
        let incoming = launched.incoming.take();
        let resumed = async {
            let incoming = incoming.ok_or(io::ErrorKind::InvalidInput)?;
            incoming.file.fill(&state.0)?;
            launched.qmp.load(incoming.set).await?;
            match launched.qmp.query_status().await?.running {
                true => Ok::<_, io::Error>(launched),
                false => Err(io::Error::other("the guest does not run")),
            }
        };
        match tokio::time::timeout(LOAD_WAIT_MAX, resumed).await {
            Ok(Ok(launched)) => Ok(Arc::new(QemuVm::running(launched))),
            Ok(Err(error)) => Err(not_up(&process, error.to_string()).await),
            Err(_) => {
                let reason = format!("no guest within {LOAD_WAIT_MAX:?}");
                Err(not_up(&process, reason).await)
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.0.process.0.is_alive()
    }
}
