//! What a worker says of itself.

use crate::WorkerService;
use hearth_services::worker::WorkerStatus;
use hearth_types::{AccountId, FunctionName};
use std::collections::BTreeMap;

impl WorkerService {
    pub(crate) fn status(&self) -> WorkerStatus {
        // Before what is used: that has all of them.
        let creating = self.creating.admitted();
        let (capacity, used) = (self.admission.capacity(), self.admission.used());
        let mut functions: BTreeMap<(AccountId, FunctionName), u32> = BTreeMap::new();
        for (_, key) in &creating {
            *functions.entry((key.account.clone(), key.function.clone())).or_default() += 1;
        }
        let mut cpu_milli_busy = 0;
        for sandbox in self.sandboxes.lock().values() {
            let key = &sandbox.version.key;
            *functions.entry((key.account.clone(), key.function.clone())).or_default() += 1;
            if sandbox.holding.now().1 {
                cpu_milli_busy += u64::from(sandbox.version.memory.cpu_millis());
            }
        }
        WorkerStatus {
            worker: self.id,
            total: capacity.room,
            promised: used.room,
            sandbox_overhead: self.options.overhead(),
            sandboxes: used.sandboxes,
            sandboxes_max: capacity.sandboxes,
            revision: used.revision,
            cpus: self.cpus,
            cpu_milli_busy,
            functions: functions.into_iter().map(|((a, f), count)| (a, f, count)).collect(),
            creating: creating.into_iter().map(|(id, _)| id).collect(),
            snapshots: self.open_snapshots.of_functions(),
            outcomes: self.outcomes.now(),
        }
    }
}
