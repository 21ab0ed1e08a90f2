//! What nodes that lead ask one another: how much of each account runs there, what is idle
//! there, and to let some of it go, so that another's sandbox has room.

use crate::leaders::{Leaders, Spare};
use crate::view::View;
use hearth_rpc::{CallError, Channel, Channels, Method, Router};
use hearth_services::cluster::{NodeRecord, Role};
use hearth_types::{AccountId, NodeLife, Room, SandboxId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const RUNNING: Method = Method::new("hearth.Leaders/Running");
const SPARE: Method = Method::new("hearth.Leaders/Spare").answer_bytes_max(SPARE_BYTES_MAX);
const EVICT: Method = Method::new("hearth.Leaders/Evict").request_bytes_max(EVICT_BYTES_MAX);

/// Longest wait for what is answered from memory.
const TELL_MAX: Duration = Duration::from_millis(500);
/// Longest wait for kills: as long as a leader waits for its own, and some.
const EVICT_MAX: Duration = Duration::from_secs(6);
/// Of idle sandboxes, some 150 bytes each.
const SPARE_BYTES_MAX: usize = 8 * 1024 * 1024;
const EVICT_BYTES_MAX: usize = 1024 * 1024;
/// Nodes asked at once.
const ASKED_MAX: usize = 64;

/// Serves what is led in this process, to other leaders.
pub(crate) fn serve_leaders(router: Router, leaders: Arc<dyn Leaders>) -> Router {
    let [running, spare, evict] = std::array::from_fn(|_| Arc::clone(&leaders));
    router
        .method(RUNNING, move |_, (): ()| {
            let running = running.running();
            async move { running }
        })
        .method(SPARE, move |_, overhead: Room| {
            let spare = spare.spare(overhead);
            async move { spare }
        })
        .method(EVICT, move |_, ids: Vec<SandboxId>| {
            let leaders = Arc::clone(&evict);
            async move { leaders.evict(&ids).await }
        })
}

/// The other nodes that lead.
#[derive(Clone)]
pub struct OtherLeaders {
    nodes: View<NodeRecord>,
    channels: Channels,
    /// This process.
    own: NodeLife,
}

impl OtherLeaders {
    /// All of these nodes but `own`.
    pub fn new(nodes: View<NodeRecord>, channels: Channels, own: NodeLife) -> Self {
        Self { nodes, channels, own }
    }

    /// Those that live, as far as is known.
    pub fn lives(&self) -> HashSet<NodeLife> {
        let nodes = self.nodes.now();
        let others = nodes.values().map(|node| &node.record).filter(|node| self.is_other(node));
        others.map(|node| node.life).collect()
    }

    /// How many invocations of each account run in each node's partitions, of the nodes
    /// that said so in time.
    pub async fn running(&self) -> Vec<(NodeLife, Vec<(AccountId, usize)>)> {
        self.ask_all(&RUNNING, &Arc::new(()), TELL_MAX).await
    }

    /// What could make room in their partitions.
    pub async fn spare(&self, overhead: Room) -> Spare {
        let answers = self.ask_all(&SPARE, &Arc::new(overhead), TELL_MAX).await;
        answers.into_iter().map(|(_, spare)| spare).fold(Spare::default(), Spare::and)
    }

    /// Has them kill those of these sandboxes that are idle there, and waits for what is
    /// being killed.
    pub async fn evict(&self, ids: &Arc<Vec<SandboxId>>) {
        let _done: Vec<(NodeLife, ())> = self.ask_all(&EVICT, ids, EVICT_MAX).await;
    }

    fn is_other(&self, node: &NodeRecord) -> bool {
        node.life != self.own && node.roles.contains(&Role::Assignment)
    }

    async fn ask_all<Q, A>(
        &self,
        method: &'static Method,
        question: &Arc<Q>,
        patience: Duration,
    ) -> Vec<(NodeLife, A)>
    where
        Q: Serialize + Send + Sync + 'static,
        A: DeserializeOwned + Send + 'static,
    {
        let deadline = Instant::now() + patience;
        let (mut asking, mut answers) = (JoinSet::new(), Vec::new());
        for node in self.nodes.now().values().map(|node| &node.record) {
            if !self.is_other(node) {
                continue;
            }
            let channel = match self.channels.get(&node.address, Some(&node.name)) {
                Ok(channel) => channel,
                Err(error) => {
                    tracing::warn!(node = %node.name, %error, "a leader is not asked");
                    continue;
                }
            };
            if asking.len() >= ASKED_MAX {
                answers.extend(asking.join_next().await.and_then(Result::ok).flatten());
            }
            let (node, question) = (node.clone(), Arc::clone(question));
            hearth_tasks::spawn_in(&mut asking, "question to a leader", async move {
                ask(&node, &channel, method, &question, deadline).await
            });
        }
        while let Some(answer) = asking.join_next().await {
            // A panic has been logged.
            answers.extend(answer.ok().flatten());
        }
        answers
    }
}

async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
    node: &NodeRecord,
    channel: &Channel,
    method: &'static Method,
    question: &Q,
    deadline: Instant,
) -> Option<(NodeLife, A)> {
    let answer: Result<A, CallError> = channel.call(method, question, deadline).await;
    answer
        .map(|answer| (node.life, answer))
        .inspect_err(|error| {
            tracing::debug!(node = %node.name, method = method.path(),
                error = error as &dyn std::error::Error, "a leader did not answer");
        })
        .ok()
}
