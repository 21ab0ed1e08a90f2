//! What happens when: a queue by time, and in the order in which it was planned where
//! times are the same.

use hearth_types::Partition;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The next part of the traffic has to be made.
    Window(usize),
    /// A worker hears that it should create a sandbox.
    Admit(u64),
    /// The sandbox of that order is there.
    Created(u64),
    /// It will not be.
    CreateFailed(u64),
    /// An event comes to the idle sandbox that it was given.
    Arrives(u64),
    /// It has ended.
    Ended(u64),
    /// A call that waits for room tries again.
    Retry(u64),
    /// Leaders see what is worth keeping,
    Keep,
    /// and what has been idle for too long.
    Reap,
    /// A worker tells of itself,
    Heartbeat(u32),
    /// and is heard.
    Heard(u32),
    /// A new worker is up.
    Joined(u32),
    /// Leaders ask all workers what they have.
    Reconcile,
    /// A partition's next leader begins,
    Leads(Partition),
    /// asks all workers once more,
    Settles(Partition, u32),
    /// and the one before it, which hung, wakes up.
    Wakes(Partition),
    /// The capacity manager looks at the workers' health.
    Look,
    /// And at their number.
    Step,
    /// What the scenario is about.
    Happens,
    /// And is over.
    Over,
}

/// All that is to come, but for calls.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
}

impl Events {
    pub(crate) fn plan(&mut self, at_ms: u64, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((at_ms, self.planned, event)));
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
