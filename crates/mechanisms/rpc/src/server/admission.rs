//! How much a server takes on: calls, and bytes of requests. What does not fit is
//! refused at once, before its request is read.

use crate::limits::{MESSAGE_BYTES_MAX, ServerLimits};
use crate::method::Method;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit for bytes stands for: semaphores count to less than 2^32.
const UNIT_BYTES: usize = 1024;

/// What is free.
#[derive(Debug)]
pub(super) struct Admission {
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// Those of `bytes` that requests of methods with large ones may have at once: the rest is
    /// for the orders and questions by which a cluster knows of itself.
    large: Arc<Semaphore>,
    limits: ServerLimits,
}

/// The right to be worked on, until handler and answer are done with it.
#[derive(Debug)]
pub(super) struct Admitted {
    _call: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    _large: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(limits: ServerLimits) -> Self {
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let units = limits.request_bytes_max / UNIT_BYTES;
        Self {
            calls: permits(limits.calls_max),
            bytes: permits(units),
            large: permits(units - units / 8),
            limits,
        }
    }

    /// Room for a call whose request has so many bytes, or why there is none.
    pub(super) fn admit(&self, method: &Method, request_bytes: usize) -> Result<Admitted, String> {
        let Ok(call) = Arc::clone(&self.calls).try_acquire_owned() else {
            return Err(format!("{} calls are under way", self.limits.calls_max));
        };
        let units = u32::try_from(request_bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let of = |permits: &Arc<Semaphore>| {
            Arc::clone(permits).try_acquire_many_owned(units).map_err(|_| {
                let max = self.limits.request_bytes_max;
                format!("{request_bytes} more bytes of requests would exceed {max}")
            })
        };
        let is_large = method.request_max() > MESSAGE_BYTES_MAX;
        let large = if is_large { Some(of(&self.large)?) } else { None };
        Ok(Admitted { _call: call, _bytes: of(&self.bytes)?, _large: large })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_requests_leave_room_for_small_ones() {
        const ORDER: Method = Method::new("test/Order");
        const EVENT: Method = Method::new("test/Event").request_bytes_max(8 << 20);
        let limits = ServerLimits { request_bytes_max: 80 << 20, ..ServerLimits::default() };
        let admission = Admission::new(limits);
        let events: Vec<_> = (0..8).map(|_| admission.admit(&EVENT, 8 << 20).unwrap()).collect();
        assert!(admission.admit(&EVENT, 8 << 20).unwrap_err().contains("would exceed"));
        let order = admission.admit(&ORDER, 1 << 20).unwrap();
        drop((events, order));
        admission.admit(&EVENT, 8 << 20).unwrap();
    }
}
