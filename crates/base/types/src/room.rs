//! What sandboxes take of a host.

/// An amount of each thing that a sandbox is promised and a host runs out of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Room {
    /// Host memory, in bytes.
    pub memory_bytes: u64,
    /// Disk under scratch disks (`/tmp`), in bytes.
    pub disk_bytes: u64,
}

impl Room {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            disk_bytes: self.disk_bytes.saturating_add(other.disk_bytes),
        }
    }

    /// What is left of it; nothing of what `other` has more of.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            disk_bytes: self.disk_bytes.saturating_sub(other.disk_bytes),
        }
    }

    /// Whether there is as much of everything as in `other`.
    pub fn holds(self, other: Self) -> bool {
        self.memory_bytes >= other.memory_bytes && self.disk_bytes >= other.disk_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_either_is_one() {
        let room = |memory_bytes, disk_bytes| Room { memory_bytes, disk_bytes };
        assert!(room(2, 2).holds(room(2, 2)));
        assert!(!room(9, 1).holds(room(2, 2)) && !room(1, 9).holds(room(2, 2)));
        assert_eq!(room(9, 1).less(room(2, 2)), room(7, 0));
        assert_eq!(room(u64::MAX, 1).plus(room(1, 1)), room(u64::MAX, 2));
    }
}
