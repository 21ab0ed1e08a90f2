//! Every sandbox: starting, busy or idle. Stands where assignment's table does, with the
//! same transitions, and asserts them.

use hearth_types::SandboxId;
use std::collections::{BTreeSet, HashMap};

/// What a sandbox is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Starting,
    Busy,
    Idle,
}

/// One sandbox, of one function, on one worker, for all of its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sandbox {
    pub(crate) id: SandboxId,
    pub(crate) function: u32,
    pub(crate) worker: u32,
    pub(crate) state: State,
    pub(crate) last_used_ms: u64,
}

/// All of them, by number.
#[derive(Default)]
pub(crate) struct Table {
    sandboxes: HashMap<u64, Sandbox>,
    /// Of each function, the most recently used last.
    idle: HashMap<u32, Vec<u64>>,
    /// Of all, by last use.
    by_age: BTreeSet<(u64, u64)>,
    by_worker: Vec<BTreeSet<u64>>,
    numbers: u64,
}

impl Table {
    /// The number of the next sandbox, and its id.
    pub(crate) fn number(&mut self) -> (u64, SandboxId) {
        self.numbers += 1;
        let id = format!("{:032x}", self.numbers).parse();
        (self.numbers, id.expect("32 digits are an id"))
    }

    pub(crate) fn starting(&mut self, number: u64, sandbox: Sandbox) {
        let worker = sandbox.worker as usize;
        if self.by_worker.len() <= worker {
            self.by_worker.resize_with(worker + 1, BTreeSet::new);
        }
        self.by_worker[worker].insert(number);
        let before = self.sandboxes.insert(number, Sandbox { state: State::Starting, ..sandbox });
        assert!(before.is_none(), "sandbox {number} was there before");
    }

    /// The most recently used idle sandbox of a function, busy from now on.
    pub(crate) fn begin(&mut self, function: u32) -> Option<(u64, Sandbox)> {
        let number = *self.idle.get(&function)?.last()?;
        self.forget_idle(number);
        Some((number, self.busy(number, function, State::Idle)))
    }

    /// A starting sandbox runs the event that it was started for.
    pub(crate) fn started_busy(&mut self, number: u64, function: u32) -> Sandbox {
        self.busy(number, function, State::Starting)
    }

    fn busy(&mut self, number: u64, function: u32, from: State) -> Sandbox {
        let sandbox = self.sandboxes.get_mut(&number).expect("it is there");
        assert_eq!(sandbox.state, from, "sandbox {number} runs one event at a time");
        assert_eq!(sandbox.function, function, "sandbox {number} is of one function");
        sandbox.state = State::Busy;
        *sandbox
    }

    /// A busy one, or one that was restored ahead, is idle from now on.
    pub(crate) fn release(&mut self, number: u64, now_ms: u64) {
        let sandbox = self.sandboxes.get_mut(&number).expect("it is there");
        assert_ne!(sandbox.state, State::Idle, "sandbox {number} was idle before");
        (sandbox.state, sandbox.last_used_ms) = (State::Idle, now_ms);
        self.by_age.insert((now_ms, number));
        self.idle.entry(sandbox.function).or_default().push(number);
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Sandbox> {
        if self.sandboxes.get(&number)?.state == State::Idle {
            self.forget_idle(number);
        }
        let sandbox = self.sandboxes.remove(&number)?;
        self.by_worker[sandbox.worker as usize].remove(&number);
        Some(sandbox)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Sandbox> {
        self.sandboxes.get(&number)
    }

    pub(crate) fn idle_of(&self, function: u32) -> &[u64] {
        self.idle.get(&function).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn on_worker(&self, worker: u32) -> impl Iterator<Item = (u64, &Sandbox)> {
        let numbers = self.by_worker.get(worker as usize).into_iter().flatten();
        numbers.filter_map(|number| self.sandboxes.get(number).map(|sandbox| (*number, sandbox)))
    }

    pub(crate) fn count_on(&self, worker: u32) -> usize {
        self.by_worker.get(worker as usize).map_or(0, BTreeSet::len)
    }

    /// The workers of those idle for longest, each once.
    pub(crate) fn workers_by_age(&self, most: usize) -> Vec<u32> {
        let mut workers = Vec::new();
        for (_, number) in self.by_age.iter().take(most) {
            let worker = self.sandboxes.get(number).map(|sandbox| sandbox.worker);
            workers.extend(worker.filter(|worker| !workers.contains(worker)));
        }
        workers
    }

    fn forget_idle(&mut self, number: u64) {
        let Some(sandbox) = self.sandboxes.get(&number) else { return };
        self.by_age.remove(&(sandbox.last_used_ms, number));
        if let Some(idle) = self.idle.get_mut(&sandbox.function) {
            // Those used last are at the end, where most are taken from.
            if let Some(at) = idle.iter().rposition(|other| *other == number) {
                idle.remove(at);
            }
            if idle.is_empty() {
                self.idle.remove(&sandbox.function);
            }
        }
    }
}
