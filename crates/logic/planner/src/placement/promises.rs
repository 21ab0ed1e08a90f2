//! What was placed and is not in any heartbeat yet.
//!
//! ```text
//!  promise ─► open ──admitted(r)──► admitted ──status of revision ≥ r──► counted there
//!               └──unpromise──► nothing
//! ```
//!
//! While a promise is open, a heartbeat may already count its sandbox: it is counted
//! twice then, until the worker says that it was admitted. The other way around a worker
//! would be promised more than it has.

use super::member::FunctionKey;
use hearth_types::{Room, SandboxId};
use std::collections::HashMap;

/// One sandbox that a worker was chosen for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) slot: u32,
    pub(crate) function: FunctionKey,
    pub(crate) room: Room,
    pub(crate) cpu_milli: u64,
    /// The worker's revision that has it first.
    pub(crate) admitted: Option<u64>,
}

/// All of them: no more than workers have places for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    by_sandbox: HashMap<SandboxId, Promise>,
    by_slot: Vec<Vec<SandboxId>>,
}

impl Promises {
    pub(crate) fn has(&self, sandbox: &SandboxId) -> bool {
        self.by_sandbox.contains_key(sandbox)
    }

    pub(crate) fn get(&self, sandbox: &SandboxId) -> Option<&Promise> {
        self.by_sandbox.get(sandbox)
    }

    pub(crate) fn add(&mut self, sandbox: SandboxId, promise: Promise) {
        let slot = promise.slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize_with(slot + 1, Vec::new);
        }
        self.by_slot[slot].push(sandbox);
        self.by_sandbox.insert(sandbox, promise);
    }

    pub(crate) fn remove(&mut self, sandbox: &SandboxId) -> Option<Promise> {
        let promise = self.by_sandbox.remove(sandbox)?;
        if let Some(of_slot) = self.by_slot.get_mut(promise.slot as usize) {
            of_slot.retain(|id| id != sandbox);
        }
        Some(promise)
    }

    /// A worker has it. Returns its slot.
    pub(crate) fn admitted(&mut self, sandbox: &SandboxId, revision: u64) -> Option<u32> {
        let promise = self.by_sandbox.get_mut(sandbox)?;
        promise.admitted = Some(revision);
        Some(promise.slot)
    }

    /// The sandboxes of a slot that its revision counts.
    pub(crate) fn counted(&self, slot: u32, revision: u64) -> Vec<SandboxId> {
        let of_slot = self.by_slot.get(slot as usize).map(Vec::as_slice).unwrap_or_default();
        let counted = |id: &&SandboxId| {
            let promise = self.by_sandbox.get(*id);
            promise.and_then(|p| p.admitted).is_some_and(|at| at <= revision)
        };
        of_slot.iter().filter(counted).copied().collect()
    }

    /// All of a slot.
    pub(crate) fn of_slot(&self, slot: u32) -> Vec<SandboxId> {
        self.by_slot.get(slot as usize).cloned().unwrap_or_default()
    }
}
