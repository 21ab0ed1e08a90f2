//! A view as plain data, so that a decision can be recorded and replayed elsewhere.

use super::fleet::{Entry, Fleet};
use super::member::{FunctionKey, Member};
use std::collections::BTreeMap;

impl Fleet {
    /// All workers in the order of their ids, each with what it was promised since it told
    /// of itself. A fleet that is told of these chooses as this one does.
    pub fn record(&self) -> Vec<Member> {
        let entries = (0..).zip(&self.entries);
        let entries = entries.filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
        let mut members: Vec<Member> =
            entries.map(|(slot, entry)| self.with_promises(slot, entry)).collect();
        members.sort_by_key(|member| member.worker);
        members
    }

    fn with_promises(&self, slot: u32, entry: &Entry) -> Member {
        let mut functions: BTreeMap<FunctionKey, u32> = BTreeMap::new();
        let promised = self.promises.of_slot(slot);
        let promised = promised.iter().filter_map(|id| self.promises.get(id));
        let promised = promised.map(|promise| (promise.function, 1));
        for (function, count) in entry.member.functions.iter().copied().chain(promised) {
            let all = functions.entry(function).or_default();
            *all = all.saturating_add(count);
        }
        Member {
            promised: entry.taken,
            cpu_milli_used: entry.cpu_milli_used,
            sandboxes: entry.sandboxes,
            functions: functions.into_iter().collect(),
            ..entry.member.clone()
        }
    }
}
