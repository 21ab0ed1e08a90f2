//! All partitions, whoever leads them: where a leader finds room if its own has none, and
//! what an account runs beside what it runs here.

use super::led::Led;
use hearth_cluster::{Leaders, OtherLeaders, Spare};
use hearth_types::{AccountId, NodeLife, Room, SandboxId};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often other nodes are asked what accounts run there.
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// This process's partitions and those of others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Surroundings {
    led: Arc<Led>,
    others: OtherLeaders,
}

impl Surroundings {
    pub(super) fn new(led: Arc<Led>, others: OtherLeaders) -> Self {
        Self { led, others }
    }

    /// What could make room, anywhere.
    pub(crate) async fn spare(&self, overhead: Room) -> Spare {
        self.led.spare(overhead).and(self.others.spare(overhead).await)
    }

    /// Has those killed that are still idle, wherever they are.
    pub(crate) async fn evict(&self, ids: Vec<SandboxId>) {
        let ids = Arc::new(ids);
        tokio::join!(self.led.evict(&ids), self.others.evict(&ids));
    }

    /// Keeps up what accounts run elsewhere.
    pub(super) async fn count_forever(&self) -> Infallible {
        let mut said: HashMap<NodeLife, Vec<(AccountId, usize)>> = HashMap::new();
        loop {
            tokio::time::sleep(ASK_INTERVAL).await;
            said.extend(self.others.running().await);
            // Who does not answer still runs what it ran, as long as it is there.
            let lives = self.others.lives();
            said.retain(|life, _| lives.contains(life));
            let mut elsewhere: HashMap<AccountId, usize> = HashMap::new();
            for (account, running) in said.values().flatten() {
                let sum = elsewhere.entry(account.clone()).or_default();
                *sum = sum.saturating_add(*running);
            }
            self.led.running.set_elsewhere(&elsewhere);
        }
    }
}
