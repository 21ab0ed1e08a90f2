//! Admission: a sandbox is let in only if its memory and its disk are free, and
//! what it was promised comes back when it is gone.

use hearth_types::Room;
use parking_lot::Mutex;
use std::sync::Arc;

/// A worker's room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// What sandboxes may take together.
    pub(crate) room: Room,
    /// Most sandboxes at once.
    pub(crate) sandboxes: u32,
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Admission {
    capacity: Capacity,
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) room: Room,
    pub(crate) sandboxes: u32,
    /// Grows with each change.
    pub(crate) revision: u64,
}

/// Room held by one sandbox, or by work of the worker's own; given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    admission: Arc<Admission>,
    room: Room,
    sandboxes: u32,
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
    pub(crate) fn admit(self: &Arc<Self>, room: Room) -> Option<Reservation> {
        let mut used = self.used.lock();
        let after = used.room.plus(room);
        if !self.capacity.room.holds(after) || used.sandboxes >= self.capacity.sandboxes {
            return None;
        }
        used.room = after;
        used.sandboxes += 1;
        used.revision += 1;
        Some(Reservation { admission: Arc::clone(self), room, sandboxes: 1 })
    }

    /// Room for a guest that serves nobody yet, if it leaves as much for one that
    /// would. It is not counted among the sandboxes.
    pub(crate) fn admit_aside(self: &Arc<Self>, room: Room) -> Option<Reservation> {
        let mut used = self.used.lock();
        let after = used.room.plus(room);
        if !self.capacity.room.holds(after.plus(room)) {
            return None;
        }
        used.room = after;
        used.revision += 1;
        Some(Reservation { admission: Arc::clone(self), room, sandboxes: 0 })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.admission.used.lock();
        used.room = used.room.less(self.room);
        used.sandboxes -= self.sandboxes;
        used.revision += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_promised_twice_and_all_comes_back() {
        let room = |memory_bytes, disk_bytes| Room { memory_bytes, disk_bytes };
        let admission = Admission::new(Capacity { room: room(100, 50), sandboxes: 3 });
        let first = admission.admit(room(60, 30)).unwrap();
        assert!(admission.admit(room(41, 1)).is_none(), "memory");
        assert!(admission.admit(room(1, 21)).is_none(), "disk");
        let _second = admission.admit(room(40, 20)).unwrap();
        drop(first);
        let _third = admission.admit(room(10, 10)).unwrap();
        let _fourth = admission.admit(room(10, 10)).unwrap();
        assert!(admission.admit(room(1, 1)).is_none(), "three at most");
        assert!(admission.admit_aside(room(21, 1)).is_none(), "as much has to be left");
        let aside = admission.admit_aside(room(20, 1)).unwrap();
        assert_eq!(admission.used().sandboxes, 3, "not a sandbox");
        drop(aside);
        assert_eq!(admission.used().room, room(60, 40));
        assert!(admission.admit(room(u64::MAX, 1)).is_none());
    }
}
