//! How much a server takes on: calls, and bytes of requests. What does not fit is
//! refused at once, before its request is read.

use crate::limits::ServerLimits;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit for bytes stands for: semaphores count to less than 2^32.
const UNIT_BYTES: usize = 1024;

/// What is free.
#[derive(Debug)]
pub(super) struct Admission {
    calls: Arc<Semaphore>,
    units: Arc<Semaphore>,
    limits: ServerLimits,
}

/// The right to be worked on, until handler and answer are done with it.
#[derive(Debug)]
pub(super) struct Admitted {
    _call: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(limits: ServerLimits) -> Self {
        let calls = limits.calls_max.min(Semaphore::MAX_PERMITS);
        let units = (limits.request_bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        let [calls, units] = [calls, units].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { calls, units, limits }
    }

    /// Room for a call whose request has so many bytes, or why there is none.
    pub(super) fn admit(&self, request_bytes: usize) -> Result<Admitted, String> {
        let Ok(call) = self.calls.clone().try_acquire_owned() else {
            return Err(format!("{} calls are under way", self.limits.calls_max));
        };
        let units = u32::try_from(request_bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        match self.units.clone().try_acquire_many_owned(units) {
            Ok(bytes) => Ok(Admitted { _call: call, _bytes: bytes }),
            Err(_) => {
                let max = self.limits.request_bytes_max;
                Err(format!("{request_bytes} more bytes of requests would exceed {max}"))
            }
        }
    }
}
