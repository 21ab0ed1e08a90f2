//! `hearth cluster status`: who is in the cluster, who leads what, and how they are.

use super::cluster::security;
use super::config::NodeConfig;
use crate::output::{self, Output};
use hearth_cluster::{NodeStatus, View, node_status};
use hearth_metastore_etcd::EtcdStore;
use hearth_rpc::Channels;
use hearth_services::cluster::{LeaderRecord, NodeRecord, partition_of};
use hearth_services::keys;
use hearth_services::metastore::MetaStore;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `hearth cluster status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// The configuration of a node, which says where the cluster is and how to speak to it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// All of it.
#[derive(Serialize)]
struct Status {
    nodes: Vec<Node>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Node {
    #[serde(flatten)]
    record: NodeRecord,
    /// None if it does not answer.
    status: Option<NodeStatus>,
}

#[derive(Serialize)]
struct Partition {
    number: u16,
    leader: LeaderRecord,
    /// The last entry of its journal, if its leader answers.
    last: Option<u64>,
    /// Those who follow, and how many entries they are behind.
    followers: BTreeMap<String, u64>,
    /// Starting, idle, busy.
    sandboxes: Option<[usize; 3]>,
}

/// Prints nodes and partitions.
pub(crate) async fn run(args: StatusArgs, output: Output) -> anyhow::Result<()> {
    let config = NodeConfig::read(&args.config)?;
    let status = ask(&config).await?;
    if output == Output::Json {
        return output::json(&status);
    }
    let header = ["node", "zone", "roles", "address", "sandboxes", "memory promised", "version"];
    let rows = status.nodes.iter().map(node_row);
    output::table(&header, rows, "no nodes: `hearth node` starts one")?;
    println!();
    let header = ["partition", "leader", "epoch", "followers (behind)", "starting", "idle", "busy"];
    output::table(&header, status.partitions.iter().map(partition_row), "no partition is led")
}

async fn ask(config: &NodeConfig) -> anyhow::Result<Status> {
    let store: Arc<dyn MetaStore> = Arc::new(EtcdStore::open(&config.etcd()?)?);
    let (nodes, follows) = View::<NodeRecord>::start(Arc::clone(&store), keys::NODES).await?;
    follows.abort();
    let (leaders, follows) = View::<LeaderRecord>::start(store, keys::LEADERS).await?;
    follows.abort();
    let channels = Channels::new(security(config)?);
    let mut asked = Vec::new();
    for seen in nodes.now().values() {
        let record = seen.record.clone();
        let channel = channels.get(&record.address, Some(&record.name))?;
        let status = match node_status(&channel).await {
            Ok(status) => Some(status),
            Err(error) => {
                let error = anyhow::Error::new(error);
                eprintln!("{} does not answer: {error:#}", record.name);
                None
            }
        };
        asked.push(Node { record, status });
    }
    let leaders = leaders.now();
    let partitions = leaders.iter().filter_map(|(key, seen)| {
        let number = partition_of(key)?.0;
        Some(partition(number, seen.record.clone(), &asked))
    });
    Ok(Status { partitions: partitions.collect(), nodes: asked })
}

fn partition(number: u16, leader: LeaderRecord, nodes: &[Node]) -> Partition {
    let statuses = || nodes.iter().filter_map(|node| Some((node, node.status.as_ref()?)));
    let led = statuses().find_map(|(node, status)| {
        let is_leader = node.record.name == leader.node;
        is_leader.then(|| status.led.iter().find(|led| led.partition.0 == number))?
    });
    let last = led.map(|led| led.last);
    let followers = statuses().filter_map(|(node, status)| {
        let (_, upto) = status.followed.iter().find(|(partition, _)| partition.0 == number)?;
        Some((node.record.name.to_string(), last.unwrap_or(*upto).saturating_sub(*upto)))
    });
    let followers = followers.filter(|(name, _)| *name != leader.node.as_str()).collect();
    Partition { number, last, followers, sandboxes: led.map(|led| led.sandboxes), leader }
}

fn node_row(node: &Node) -> Vec<String> {
    let roles: Vec<&str> = node.record.roles.iter().map(|role| role.as_str()).collect();
    let worker = node.status.as_ref().and_then(|status| status.worker.as_ref());
    let unknown = || if node.status.is_some() { "-" } else { "?" }.to_owned();
    vec![
        node.record.name.to_string(),
        node.record.zone.to_string(),
        roles.join(","),
        node.record.address.clone(),
        worker.map_or_else(unknown, |w| format!("{}/{}", w.sandboxes, w.sandboxes_max)),
        worker.map_or_else(unknown, |w| {
            let size = |room: hearth_types::Room| output::size(room.memory_bytes);
            format!("{} of {}", size(w.promised), size(w.total))
        }),
        node.record.version.clone(),
    ]
}

fn partition_row(partition: &Partition) -> Vec<String> {
    let followers = partition.followers.iter().map(|(name, lag)| format!("{name} ({lag})"));
    let followers: Vec<String> = followers.collect();
    let count = |n: usize| partition.sandboxes.map_or("?".to_owned(), |s| s[n].to_string());
    let epoch = partition.leader.epoch.map_or("getting ready".to_owned(), |e| e.to_string());
    vec![
        partition.number.to_string(),
        partition.leader.node.to_string(),
        epoch,
        followers.join(", "),
        count(0),
        count(1),
        count(2),
    ]
}
