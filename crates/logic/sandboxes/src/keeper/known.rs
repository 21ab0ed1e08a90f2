//! The demand of versions, as many as are remembered: of the least recently used what was
//! known is forgotten first.

use crate::notes::Note;
use hearth_forecast::keep_alive::{Fallback, FunctionDemand, Rule};
use hearth_types::{AccountId, FunctionName, Version, VersionKey};
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// Sandboxes whose past one leader remembers, of all versions together: at most 1.2 KB
/// each (`FunctionDemand::BYTES_MAX`), so 40 MB.
pub(super) const SANDBOXES_MAX: usize = 32_768;

/// A version, whatever its revision: an update leaves as it was when it is called.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) Arc<VersionKey>);

impl Name {
    fn parts(&self) -> (&AccountId, &FunctionName, Version) {
        (&self.0.account, &self.0.function, self.0.version)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}

/// What is known of one version.
pub(super) struct Function {
    /// Its revision that was used last.
    pub(super) key: Arc<VersionKey>,
    pub(super) demand: FunctionDemand,
    /// When it is looked at again.
    change: Option<Duration>,
    used: u64,
}

pub(super) struct Known {
    fallback: Fallback,
    functions: HashMap<Name, Function>,
    /// By when they were used, the longest ago first.
    by_use: BTreeMap<u64, Name>,
    uses: u64,
    /// What all know of together.
    sandboxes: usize,
}

impl Known {
    pub(super) fn new(keep_alive: Duration) -> Self {
        Self {
            fallback: Fallback { keep_for: keep_alive, is_most: true },
            functions: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            sandboxes: 0,
        }
    }

    pub(super) fn versions(&self) -> usize {
        self.functions.len()
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Function> {
        self.functions.get(name)
    }

    /// Returns when it was to be looked at before.
    pub(super) fn set_change(&mut self, name: &Name, at: Option<Duration>) -> Option<Duration> {
        let function = self.functions.get_mut(name)?;
        std::mem::replace(&mut function.change, at)
    }

    /// Returns whose demand is another now.
    pub(super) fn learn(&mut self, note: &Note) -> Option<Name> {
        let name = Name(Arc::clone(&note.key));
        if note.began && !self.functions.contains_key(&name) {
            let demand = FunctionDemand::with(Rule::default(), self.fallback);
            let function = Function { key: Arc::clone(&note.key), demand, change: None, used: 0 };
            self.functions.insert(name.clone(), function);
        }
        // The end of an event that began before it was forgotten.
        let function = self.functions.get_mut(&name)?;
        self.by_use.remove(&function.used);
        self.uses += 1;
        function.used = self.uses;
        self.by_use.insert(self.uses, name.clone());
        let before = function.demand.known();
        if note.began {
            function.key = Arc::clone(&note.key);
            function.demand.began(note.at);
        } else {
            function.demand.ended(note.at);
        }
        self.sandboxes = self.sandboxes + function.demand.known() - before;
        Some(name)
    }

    /// Some beginnings and ends were missed. Returns whose demand is another now.
    pub(super) fn recount(
        &mut self,
        busy: &HashMap<Arc<VersionKey>, usize>,
        now: Duration,
    ) -> Vec<Name> {
        let mut of: HashMap<Name, usize> = HashMap::new();
        for (key, busy) in busy {
            *of.entry(Name(Arc::clone(key))).or_default() += busy;
        }
        let mut changed = Vec::new();
        for (name, function) in &mut self.functions {
            let busy = of.get(name).copied().unwrap_or_default();
            if function.demand.busy() != busy {
                let before = function.demand.known();
                function.demand.found_busy(now, busy);
                self.sandboxes = self.sandboxes + function.demand.known() - before;
                changed.push(name.clone());
            }
        }
        changed
    }

    /// Forgets what is too much, and returns it, with when it was to be looked at.
    pub(super) fn forget(&mut self) -> Vec<(Name, Option<Duration>)> {
        let mut gone = Vec::new();
        while self.sandboxes.max(self.functions.len()) > SANDBOXES_MAX {
            let Some((_, name)) = self.by_use.pop_first() else { break };
            if let Some(function) = self.functions.remove(&name) {
                self.sandboxes -= function.demand.known();
                gone.push((name, function.change));
            }
        }
        gone
    }
}
