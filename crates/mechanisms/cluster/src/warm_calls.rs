//! The calls of every warm invoke: an idle sandbox is asked for, and given back. Both are
//! answered from memory, so that many go together.

use crate::leaders::{Idle, Leaders, NotLed};
use crate::view::View;
use hearth_rpc::{Channels, GATHERED_MAX, Gather, GatheredError, Method, PoolFull, Router};
use hearth_services::assignment::Disposition;
use hearth_services::cluster::LeaderRecord;
use hearth_types::{FunctionVersion, Hold, NodeLife, Partition, SandboxId, VersionKey};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A leader keeps room for one batch of each front end.
const WARM: Method =
    Method::new("hearth.Assignment/Warm").request_bytes_max(GATHERED_MAX * ASK_BYTES_MAX);
/// The longest question, packed, with room for fields to come.
const ASK_BYTES_MAX: usize = 512;

/// Longest that a leader may take that answers from memory.
const WARM_MAX: Duration = Duration::from_secs(2);

/// What a front end asks, of a version by its key.
#[derive(Serialize, Deserialize)]
enum Ask<Key> {
    Acquire(Partition, Key),
    Release(SandboxId, Hold, Disposition),
}

/// A version, of which the key travels.
struct KeyOf(Arc<FunctionVersion>);

impl Serialize for KeyOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.key.serialize(serializer)
    }
}

/// What the leader says to it.
#[derive(Serialize, Deserialize)]
enum Told {
    Acquired(Option<Idle>),
    Released,
    NotLed,
}

/// What came of a question, if it was answered.
pub(crate) type Asked<T> = Result<Result<T, NotLed>, GatheredError>;

/// Serves what is led in this process.
pub(crate) fn serve_warm(router: Router, leaders: Arc<dyn Leaders>) -> Router {
    router.gathered(WARM, move |_, asks: Vec<Ask<VersionKey>>| {
        asks.into_iter().map(|ask| tell(&*leaders, ask)).collect()
    })
}

fn tell(leaders: &dyn Leaders, ask: Ask<VersionKey>) -> Told {
    let told = match ask {
        Ask::Acquire(partition, version) => {
            leaders.acquire_idle(partition, &version).map(Told::Acquired)
        }
        Ask::Release(sandbox, hold, disposition) => {
            leaders.release(sandbox, hold, disposition).map(|()| Told::Released)
        }
    };
    told.unwrap_or(Told::NotLed)
}

/// The way of warm calls to one leader.
#[derive(Clone)]
pub(crate) struct WarmCalls(Gather<Ask<KeyOf>, Told>);

impl WarmCalls {
    /// See [`Leaders::acquire_idle`].
    pub(crate) async fn acquire(
        &self,
        partition: Partition,
        version: &Arc<FunctionVersion>,
    ) -> Asked<Option<Idle>> {
        let version = KeyOf(Arc::clone(version));
        match self.0.ask(Ask::Acquire(partition, version)).await? {
            Told::Acquired(idle) => Ok(Ok(idle)),
            Told::NotLed => Ok(Err(NotLed)),
            Told::Released => Err(GatheredError::Uneven { answers: 0, questions: 1 }),
        }
    }

    /// See [`Leaders::release`].
    pub(crate) async fn release(
        &self,
        sandbox: SandboxId,
        hold: Hold,
        disposition: Disposition,
    ) -> Asked<()> {
        match self.0.ask(Ask::Release(sandbox, hold, disposition)).await? {
            Told::Released => Ok(Ok(())),
            Told::NotLed => Ok(Err(NotLed)),
            Told::Acquired(_) => Err(GatheredError::Uneven { answers: 0, questions: 1 }),
        }
    }
}

/// One way to each node that leads.
#[derive(Default)]
pub(crate) struct WarmWays(Mutex<HashMap<NodeLife, WarmCalls>>);

impl WarmWays {
    /// The way to a leader; `leaders` are all that lead now.
    pub(crate) fn to(
        &self,
        leader: &LeaderRecord,
        leaders: &View<LeaderRecord>,
        channels: &Channels,
    ) -> Result<WarmCalls, PoolFull> {
        let mut ways = self.0.lock();
        if let Some(way) = ways.get(&leader.life) {
            return Ok(way.clone());
        }
        let leaders = leaders.now();
        ways.retain(|life, _| leaders.values().any(|seen| seen.record.life == *life));
        let channel = channels.get(&leader.address, Some(&leader.node))?;
        let way = WarmCalls(Gather::new(channel, WARM, WARM_MAX));
        ways.insert(leader.life, way.clone());
        Ok(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_types::{AccountId, FunctionName, Reign, RevisionId, Version};

    #[test]
    fn the_longest_question_fits() {
        let key = VersionKey {
            account: AccountId::try_from("123456789012".to_owned()).unwrap(),
            function: FunctionName::try_from("f".repeat(FunctionName::LEN_MAX)).unwrap(),
            version: Version::Published(u64::MAX),
            revision: RevisionId::new(),
        };
        let partition = Partition(u16::MAX);
        let hold = Hold { reign: Reign { partition, epoch: u64::MAX }, serial: u64::MAX };
        let acquire = Ask::Acquire(partition, key);
        for ask in [acquire, Ask::Release(SandboxId::new(), hold, Disposition::Reusable)] {
            let length = rmp_serde::to_vec_named(&ask).unwrap().len();
            assert!(length <= ASK_BYTES_MAX / 2, "{length}");
        }
    }
}
