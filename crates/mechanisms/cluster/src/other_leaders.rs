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
const TAKE: Method = Method::new("hearth.Leaders/Take");
const GONE: Method = Method::new("hearth.Leaders/Gone");

/// Longest wait for what is answered from memory.
const TELL_MAX: Duration = Duration::from_millis(500);
/// Longest wait for kills: as long as a leader waits for its own, and some.
const GONE_MAX: Duration = Duration::from_secs(6);
/// Of idle sandboxes, some 150 bytes each.
const SPARE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Nodes asked at once.
const ASKED_MAX: usize = 64;

/// Serves what is led in this process, to other leaders.
pub(crate) fn serve_leaders(router: Router, leaders: Arc<dyn Leaders>) -> Router {
    let [running, spare, take, gone] = std::array::from_fn(|_| Arc::clone(&leaders));
    router
        .method(RUNNING, move |_, (): ()| {
            let running = running.running();
            async move { running }
        })
        .method(SPARE, move |_, overhead: Room| {
            let spare = spare.spare(overhead);
            async move { spare }
        })
        .method(TAKE, move |_, ids: Vec<SandboxId>| {
            let taken = take.take(&ids);
            async move { taken }
        })
        .method(GONE, move |_, ids: Vec<SandboxId>| {
            let leaders = Arc::clone(&gone);
            async move { leaders.gone(&ids).await }
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

    /// What could make room in each one's partitions, of those that said so in time.
    pub async fn spare(&self, overhead: Room) -> Vec<(NodeLife, Spare)> {
        self.ask_all(&SPARE, &Arc::new(overhead), TELL_MAX).await
    }

    /// See [`Leaders::take`], of one of them. Empty if it does not say.
    pub async fn take(&self, life: NodeLife, ids: &[SandboxId]) -> Vec<SandboxId> {
        self.ask_one(life, &TAKE, ids, TELL_MAX).await.unwrap_or_default()
    }

    /// See [`Leaders::gone`], of one of them.
    pub async fn gone(&self, life: NodeLife, ids: &[SandboxId]) {
        // Who does not say has been waited for.
        let _told: Option<()> = self.ask_one(life, &GONE, ids, GONE_MAX).await;
    }

    fn is_other(&self, node: &NodeRecord) -> bool {
        node.life != self.own && node.roles.contains(&Role::Assignment)
    }

    async fn ask_one<Q: Serialize + Sync + ?Sized, A: DeserializeOwned>(
        &self,
        life: NodeLife,
        method: &'static Method,
        question: &Q,
        patience: Duration,
    ) -> Option<A> {
        let nodes = self.nodes.now();
        let node = nodes.values().map(|node| &node.record).find(|node| node.life == life)?;
        let channel = self.channel(node)?;
        let answer = ask(node, &channel, method, question, Instant::now() + patience).await;
        answer.map(|(_, answer)| answer)
    }

    fn channel(&self, node: &NodeRecord) -> Option<Channel> {
        let channel = self.channels.get(&node.address, Some(&node.name));
        channel
            .inspect_err(|error| tracing::warn!(node = %node.name, %error, "a leader is not asked"))
            .ok()
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
            let Some(channel) = self.channel(node) else { continue };
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

async fn ask<Q: Serialize + Sync + ?Sized, A: DeserializeOwned>(
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
