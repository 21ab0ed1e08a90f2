//! What a rule would have done to one function.
//!
//! Sandboxes of a function are a stack: an event takes the one that was used last, and
//! the longest idle go first. A cold start takes no time here; it is counted.

use crate::keep_alive::{FunctionDemand, Rule};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::AddAssign;
use std::time::Duration;

/// One event of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// When it comes.
    pub at: Duration,
    /// How long it runs.
    pub runs: Duration,
}

/// What a rule cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Events.
    pub calls: u64,
    /// Events that found no idle sandbox.
    pub cold: u64,
    /// Sandboxes that were restored before an event came.
    pub restored_ahead: u64,
    /// Time that sandboxes were there and ran nothing, summed over them.
    pub idle: Duration,
    /// The most that were there at once, of all functions if they peaked together.
    pub sandboxes_max: u64,
    /// Bytes of what is remembered in the end.
    pub state_bytes: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.cold = self.cold.saturating_add(other.cold);
        self.restored_ahead = self.restored_ahead.saturating_add(other.restored_ahead);
        self.idle = self.idle.saturating_add(other.idle);
        self.sandboxes_max = self.sandboxes_max.saturating_add(other.sandboxes_max);
        self.state_bytes = self.state_bytes.saturating_add(other.state_bytes);
    }
}

/// Replays the calls of one function, sorted by time, until `end`.
pub fn replay(calls: &[Call], end: Duration, rule: Rule) -> Cost {
    replay_with(calls, end, FunctionDemand::new(rule))
}

/// The same, of a function that this is known of.
pub fn replay_with(calls: &[Call], end: Duration, demand: FunctionDemand) -> Cost {
    let mut function = Function {
        demand,
        ends: BinaryHeap::new(),
        idle: 0,
        now: Duration::ZERO,
        cost: Cost::default(),
    };
    for call in calls.iter().take_while(|call| call.at < end) {
        function.run_until(call.at);
        function.call(*call);
    }
    function.run_until(end);
    function.cost.state_bytes = function.demand.bytes() as u64;
    function.cost
}

struct Function {
    demand: FunctionDemand,
    /// When running events end.
    ends: BinaryHeap<Reverse<Duration>>,
    idle: usize,
    now: Duration,
    cost: Cost,
}

impl Function {
    /// All that happens up to and at a time, but for calls.
    fn run_until(&mut self, until: Duration) {
        loop {
            let end = self.ends.peek().map(|Reverse(at)| *at);
            let change = self.demand.next_change(self.now);
            let next = end.into_iter().chain(change).min().filter(|at| *at <= until);
            self.pass(next.unwrap_or(until));
            let Some(next) = next else { return };
            if end == Some(next) {
                self.ends.pop();
                self.demand.ended(next);
                self.idle += 1;
            }
            self.adjust();
        }
    }

    fn pass(&mut self, to: Duration) {
        let passed = to.saturating_sub(self.now);
        let idle = u32::try_from(self.idle).unwrap_or(u32::MAX);
        self.cost.idle = self.cost.idle.saturating_add(passed.saturating_mul(idle));
        self.now = self.now.max(to);
    }

    fn call(&mut self, call: Call) {
        self.cost.calls += 1;
        match self.idle.checked_sub(1) {
            Some(left) => self.idle = left,
            None => self.cost.cold += 1,
        }
        self.demand.began(self.now);
        self.ends.push(Reverse(self.now.saturating_add(call.runs)));
        self.adjust();
        let there = (self.ends.len() + self.idle) as u64;
        self.cost.sandboxes_max = self.cost.sandboxes_max.max(there);
    }

    /// Has as many idle ones as are wanted.
    fn adjust(&mut self) {
        let wanted = self.demand.idle_wanted(self.now);
        self.cost.restored_ahead += wanted.saturating_sub(self.idle) as u64;
        self.idle = wanted;
    }
}
