//! How many idle sandboxes of each version are worth keeping, and which are to be made ahead
//! of their event: by its past, as `hearth-forecast` reckons. What it does not know of is
//! kept for the operator's time, which is also the longest that anything idles.
//!
//! ```text
//!  table ─ notes: began, ended ─► demand of each version ─┬─ fewer wanted ─► trim
//!                                   (the latest)          └─ soon wanted ──► restores
//! ```

mod known;

use crate::moment::Moment;
use crate::notes::News;
use crate::table::Table;
use hearth_types::{SandboxId, VersionKey, WorkerId};
use known::{Known, Name};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Sandboxes that one leader has made ahead at once: such work must not delay what
/// somebody waits for.
pub const AHEAD_MAX: usize = 4;
/// Versions that wait for that. More become due at once only at the full hour; their
/// events start sandboxes of their own.
const WAITING_MAX: usize = 1_024;

/// Versions that are looked at in one go: the table serves nobody meanwhile.
const LOOKED_AT_MAX: usize = 256;

/// A leader's knowledge of what its versions' sandboxes are used for.
pub struct Keeper {
    known: Known,
    /// Whose events began or ended.
    changed: BTreeSet<Name>,
    /// When what is wanted changes though nothing happens.
    due: BTreeSet<(Duration, Name)>,
    /// Of which one more is wanted soon.
    waiting: VecDeque<Name>,
    ahead: HashMap<Name, usize>,
    under_way: usize,
}

impl Keeper {
    /// One that knows nothing yet.
    pub fn new(keep_alive: Duration) -> Self {
        Self {
            known: Known::new(keep_alive),
            changed: BTreeSet::new(),
            due: BTreeSet::new(),
            waiting: VecDeque::new(),
            ahead: HashMap::new(),
            under_way: 0,
        }
    }

    /// Learns what happened.
    pub fn learn(&mut self, news: &News) {
        for note in &news.notes {
            self.changed.extend(self.known.learn(note));
        }
        if let Some(busy) = &news.busy {
            self.changed.extend(self.known.recount(busy, news.at));
        }
        for (name, change) in self.known.forget() {
            if let Some(at) = change {
                self.due.remove(&(at, name.clone()));
            }
            self.changed.remove(&name);
        }
    }

    /// Lets go of what is not worth keeping. Returns it, removed, to be killed; and whether
    /// there is more to look at, now that the table could do something else.
    pub fn look(&mut self, table: &mut Table, now: Moment) -> (Vec<(SandboxId, WorkerId)>, bool) {
        let mut doomed = Vec::new();
        for _ in 0..LOOKED_AT_MAX {
            let name = match self.pop_due(now.at) {
                Some(name) => {
                    self.want(&name, table, now.at);
                    name
                }
                None => match self.changed.pop_first() {
                    Some(name) => name,
                    None => return (doomed, false),
                },
            };
            doomed.extend(self.trim(&name, table, now.at));
        }
        (doomed, true)
    }

    fn pop_due(&mut self, now: Duration) -> Option<Name> {
        let due = self.due.first().filter(|(at, _)| *at <= now)?.clone();
        self.due.remove(&due);
        let (_, name) = due;
        self.known.set_change(&name, None);
        self.changed.remove(&name);
        Some(name)
    }

    /// Kills what is not worth keeping of one version, and sees when to look again.
    fn trim(
        &mut self,
        name: &Name,
        table: &mut Table,
        now: Duration,
    ) -> Vec<(SandboxId, WorkerId)> {
        let Some(function) = self.known.get(name) else { return Vec::new() };
        let demand = &function.demand;
        let idle = table.count_idle(&function.key);
        // Of others nothing is known: they have the operator's time.
        let known = demand.known().saturating_sub(demand.busy());
        let excess = idle.min(known).saturating_sub(demand.idle_wanted(now));
        let doomed = table.trim(&function.key, excess);
        let change = demand.next_change(now);
        if let Some(before) = self.known.set_change(name, change) {
            self.due.remove(&(before, name.clone()));
        }
        if let Some(change) = change {
            self.due.insert((change, name.clone()));
        }
        doomed
    }

    /// Notes that sandboxes of a version are to be made, if an event of it is to come.
    fn want(&mut self, name: &Name, table: &Table, now: Duration) {
        for _ in 0..self.missing(name, table, now) {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back(name.clone());
            }
        }
    }

    fn missing(&self, name: &Name, table: &Table, now: Duration) -> usize {
        let Some(function) = self.known.get(name) else { return 0 };
        let demand = &function.demand;
        let there = table.count_idle(&function.key) + self.ahead.get(name).copied().unwrap_or(0);
        demand.idle_wanted(now).saturating_sub(there).min(demand.restores_wanted(now))
    }

    /// The next version of which a sandbox is to be made ahead, if one may be. Whoever makes
    /// it says when it has [`made`](Self::made) it, or failed.
    pub fn next_ahead(&mut self, table: &Table, now: Duration) -> Option<Arc<VersionKey>> {
        while self.under_way < AHEAD_MAX {
            let name = self.waiting.pop_front()?;
            // It may have waited for long, and its event have come.
            if self.missing(&name, table, now) > 0
                && let Some(function) = self.known.get(&name)
            {
                self.under_way += 1;
                *self.ahead.entry(name).or_default() += 1;
                return Some(Arc::clone(&function.key));
            }
        }
        None
    }

    /// One that was to be made ahead is there, or will not be.
    pub fn made(&mut self, key: &Arc<VersionKey>) {
        let name = Name(Arc::clone(key));
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(ahead) = self.ahead.get_mut(&name) {
            *ahead -= 1;
            if *ahead == 0 {
                self.ahead.remove(&name);
            }
        }
    }

    /// Versions of which something is known.
    pub fn versions(&self) -> usize {
        self.known.versions()
    }
}

#[cfg(test)]
mod tests;
