//! Admission: a sandbox is let in only if its memory is free, and what it was
//! promised comes back when it is gone.

use parking_lot::Mutex;
use std::sync::Arc;

/// A worker's room.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Memory that sandboxes may take together, in bytes.
    pub memory_bytes: u64,
    /// Most sandboxes at once.
    pub sandboxes: u32,
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Admission {
    capacity: Capacity,
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) memory_bytes: u64,
    pub(crate) sandboxes: u32,
}

/// Room held by one sandbox; given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    admission: Arc<Admission>,
    memory_bytes: u64,
}

impl Admission {
    pub(crate) fn new(capacity: Capacity) -> Arc<Self> {
        Arc::new(Self { capacity, used: Mutex::default() })
    }

    pub(crate) fn capacity(&self) -> Capacity {
        self.capacity
    }

    pub(crate) fn used(&self) -> Used {
        *self.used.lock()
    }

    /// Room for one sandbox, or `None` if there is not enough.
    pub(crate) fn admit(self: &Arc<Self>, memory_bytes: u64) -> Option<Reservation> {
        let mut used = self.used.lock();
        let memory_after = used.memory_bytes.checked_add(memory_bytes)?;
        if memory_after > self.capacity.memory_bytes || used.sandboxes >= self.capacity.sandboxes {
            return None;
        }
        used.memory_bytes = memory_after;
        used.sandboxes += 1;
        Some(Reservation { admission: Arc::clone(self), memory_bytes })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.admission.used.lock();
        used.memory_bytes -= self.memory_bytes;
        used.sandboxes -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_promised_twice_and_all_comes_back() {
        let admission = Admission::new(Capacity { memory_bytes: 100, sandboxes: 3 });
        let first = admission.admit(60).unwrap();
        assert!(admission.admit(41).is_none());
        let _second = admission.admit(40).unwrap();
        drop(first);
        let _third = admission.admit(10).unwrap();
        let _fourth = admission.admit(10).unwrap();
        assert!(admission.admit(1).is_none(), "three at most");
        assert!(admission.admit(u64::MAX).is_none());
    }
}
