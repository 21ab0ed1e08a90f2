//! All partitions, whoever leads them: where a leader finds room if its own has none, and
//! what an account runs beside what it runs here.

use super::led::Led;
use crate::room::Taken;
use futures_util::future::join_all;
use hearth_cluster::{Leaders, OtherLeaders, Spare};
use hearth_planner::{IdleSandbox, evictions_for};
use hearth_types::{AccountId, NodeLife, Room, SandboxId};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How often other nodes are asked what accounts run there.
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// How long what others said is idle is believed, at least: each room is made of it, and
/// many may be made at once.
const SPARE_FRESH: Duration = Duration::from_millis(100);
/// How much less often than all the time others may be asked.
const SPARE_PAUSE: u32 = 4;
/// How often others are chosen, where those that were are taken by then.
const CHOICES_MAX: usize = 8;

/// This process's partitions and those of others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Surroundings {
    led: Arc<Led>,
    others: OtherLeaders,
    /// Locked while some of it is chosen and taken: one at a time does in a process.
    elsewhere: Arc<Mutex<Elsewhere>>,
}

/// What others said could make room.
#[derive(Default)]
struct Elsewhere {
    spare: Vec<(NodeLife, Spare)>,
    /// When they were asked, and until when that is good enough.
    asked: Option<Instant>,
    until: Option<Instant>,
}

impl Surroundings {
    pub(super) fn new(led: Arc<Led>, others: OtherLeaders) -> Self {
        Self { led, others, elsewhere: Arc::default() }
    }

    /// Has as much killed on one worker as is lacking, wherever it is led.
    pub(crate) async fn make_room(&self, room: Room, overhead: Room) -> Taken {
        let began = Instant::now();
        let taken = {
            let mut elsewhere = self.elsewhere.lock().await;
            match self.take(&mut elsewhere, (room, overhead), began).await {
                Ok(taken) => taken,
                Err(none) => return none,
            }
        };
        let remote = taken.elsewhere.iter().map(|(life, ids)| self.others.gone(*life, ids));
        tokio::join!(self.led.gone(&taken.here), join_all(remote));
        Taken::Enough
    }

    async fn take(
        &self,
        elsewhere: &mut Elsewhere,
        (room, overhead): (Room, Room),
        began: Instant,
    ) -> Result<TakenFrom, Taken> {
        if !elsewhere.is_fresh() {
            elsewhere.ask(&self.others, overhead).await;
        }
        for _ in 0..CHOICES_MAX {
            let mut spare = self.led.spare(overhead);
            elsewhere.spare.iter().for_each(|(_, other)| spare.add(other.clone()));
            let chosen = evictions_for(room, &spare.idle);
            // Nobody is refused by what was so before he came.
            if chosen.is_empty() && elsewhere.asked.is_none_or(|asked| asked < began) {
                elsewhere.ask(&self.others, overhead).await;
                continue;
            }
            if chosen.is_empty() {
                return Err(if spare.kills { Taken::Awaited } else { Taken::Nothing });
            }
            let mut taken = TakenFrom { here: self.led.take(&chosen), elsewhere: Vec::new() };
            for (life, ids) in elsewhere.forget(&chosen) {
                taken.elsewhere.push((life, self.others.take(life, &ids).await));
            }
            // If others were quicker, there may be more.
            if !taken.is_nothing() {
                return Ok(taken);
            }
        }
        Err(Taken::Awaited)
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

/// Sandboxes that are being killed, by who leads them.
struct TakenFrom {
    here: Vec<SandboxId>,
    elsewhere: Vec<(NodeLife, Vec<SandboxId>)>,
}

impl TakenFrom {
    fn is_nothing(&self) -> bool {
        self.here.is_empty() && self.elsewhere.iter().all(|(_, ids)| ids.is_empty())
    }
}

impl Elsewhere {
    fn is_fresh(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    async fn ask(&mut self, others: &OtherLeaders, overhead: Room) {
        let asked = Instant::now();
        self.spare = others.spare(overhead).await;
        self.asked = Some(asked);
        // One that does not answer must not be waited for each time.
        self.until = Some(asked + SPARE_FRESH.max(asked.elapsed() * SPARE_PAUSE));
    }

    /// Takes out what was chosen, by who leads it.
    fn forget(&mut self, chosen: &[SandboxId]) -> Vec<(NodeLife, Vec<SandboxId>)> {
        let mut by_leader = Vec::new();
        for (life, spare) in &mut self.spare {
            let is_chosen = |sandbox: &mut IdleSandbox| chosen.contains(&sandbox.id);
            let ids: Vec<SandboxId> =
                spare.idle.extract_if(.., is_chosen).map(|sandbox| sandbox.id).collect();
            if !ids.is_empty() {
                by_leader.push((*life, ids));
            }
        }
        by_leader
    }
}
