//! A cluster on this machine: real etcd, a real S3 server, real nodes.

use crate::node::Node;
use crate::{Account, binary, eventually};
use anyhow::{Context, Result, ensure};
use hearth_test_servers::{Etcd, KEY_ID, Place, S3Server, SECRET};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// Where all nodes keep code and snapshots.
pub const BUCKET: &str = "hearth-e2e";
/// What is in that bucket is there.
pub const PREFIX: &str = "here";
/// How long what nodes on loopback store is safe from a collection: short, so that there are
/// many. Elsewhere tests set clocks, which must not be off by that much.
const GC_GRACE_S: u64 = 100;

/// A node to be made: its name, its zone, and what it does.
pub type Plan = (&'static str, &'static str, &'static [&'static str]);

/// Ports of a node's that has all to itself.
const API_PORT: u16 = 9070;
const CLUSTER_PORT: u16 = 9071;
/// Into how many partitions functions are divided.
const PARTITIONS: usize = 16;

/// Where a cluster's processes are.
pub struct Places {
    /// Etcd's members.
    pub etcd: Vec<Place>,
    /// The object store.
    pub s3: Place,
    /// Nodes; others are on loopback.
    pub nodes: BTreeMap<&'static str, Place>,
}

/// The cluster. Whoever is done with it stops it.
pub struct Cluster {
    /// Its nodes, by name. They end before what they stand on.
    pub nodes: BTreeMap<&'static str, Node>,
    /// Its metadata.
    pub etcd: Etcd,
    /// Its objects.
    pub s3: S3Server,
    account: Option<(String, String)>,
    dir: TempDir,
}

/// What `hearth cluster status` says, as far as tests ask.
#[derive(Debug, Deserialize)]
pub struct ClusterStatus {
    /// Nodes.
    pub nodes: Vec<NodeLine>,
    /// Partitions.
    pub partitions: Vec<PartitionLine>,
}

/// A node.
#[derive(Debug, Deserialize)]
pub struct NodeLine {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub zone: String,
    status: Option<NodeStatus>,
}

#[derive(Debug, Deserialize)]
struct NodeStatus {
    worker: Option<WorkerStatus>,
}

#[derive(Debug, Deserialize)]
struct WorkerStatus {
    sandboxes: usize,
}

impl ClusterStatus {
    /// How many sandboxes leaders know of.
    pub fn known(&self) -> usize {
        self.partitions.iter().filter_map(|partition| partition.sandboxes).flatten().sum()
    }

    /// How many workers have.
    pub fn held(&self) -> usize {
        let statuses = self.nodes.iter().filter_map(|node| node.status.as_ref());
        statuses.filter_map(|status| Some(status.worker.as_ref()?.sandboxes)).sum()
    }
}

/// A partition.
#[derive(Debug, Deserialize)]
pub struct PartitionLine {
    /// Which.
    pub number: u16,
    /// Who leads it.
    pub leader: LeaderLine,
    /// Who follows it, and how many entries behind.
    pub followers: BTreeMap<String, u64>,
    /// Starting, idle, busy.
    pub sandboxes: Option<[usize; 3]>,
}

/// A leader.
#[derive(Debug, Deserialize)]
pub struct LeaderLine {
    /// Which node.
    pub node: String,
    /// None while it gets ready.
    pub epoch: Option<u64>,
}

#[derive(Deserialize)]
struct NewKey {
    access_key_id: String,
    secret_access_key: String,
}

impl Cluster {
    /// Starts the stores and these nodes, one after the other, on loopback.
    pub async fn start(etcd_members: usize, plans: &[Plan]) -> Result<Self> {
        let etcd = vec![Place::loopback(); etcd_members];
        let places = Places { etcd, s3: Place::loopback(), nodes: BTreeMap::new() };
        let mut cluster = Self::prepare(&places, plans).await?;
        cluster.start_nodes().await?;
        Ok(cluster)
    }

    /// Starts the stores, and makes all that these nodes need.
    pub async fn prepare(places: &Places, plans: &[Plan]) -> Result<Self> {
        let dir = TempDir::with_prefix("hearth-e2e-")?;
        let etcd = Etcd::start_at(&places.etcd).await;
        let s3 = S3Server::start_at(places.s3.clone()).await;
        s3.make_bucket(BUCKET).await;
        let keys = dir.path().join("keys");
        hearth(&["cluster", "init", "--dir"], &[&keys]).await?;
        let mut cluster = Self { etcd, s3, nodes: BTreeMap::new(), account: None, dir };
        for plan in plans {
            let place = places.nodes.get(plan.0).cloned().unwrap_or_else(Place::loopback);
            let node = cluster.prepare_node(plan, place).await?;
            cluster.nodes.insert(plan.0, node);
        }
        Ok(cluster)
    }

    /// Starts the nodes that do not run, one after the other.
    pub async fn start_nodes(&mut self) -> Result<()> {
        for node in self.nodes.values_mut().filter(|node| !node.runs()) {
            node.start().await?;
        }
        Ok(())
    }

    /// What another node is known by: its certificate and the cluster's master key.
    pub async fn issue(&self, name: &str) -> Result<PathBuf> {
        let bundle = self.dir.path().join(format!("{name}-bundle"));
        let keys = self.dir.path().join("keys");
        hearth(&["cluster", "issue", name, "--dir"], &[&keys, Path::new("--to"), &bundle]).await?;
        Ok(bundle)
    }

    /// What makes a node.
    async fn prepare_node(&self, (name, zone, roles): &Plan, place: Place) -> Result<Node> {
        let at = |what: &str| self.dir.path().join(format!("{name}-{what}"));
        let bundle = self.issue(name).await?;
        // Told to the others, so it may differ from life to life.
        let cluster_port = if place.is_host() { CLUSTER_PORT } else { 0 };
        let cache = binary::image_cache().map(|cache| format!("image-cache = {cache:?}\n"));
        let grace = match place.is_host() {
            true => String::new(),
            false => format!("gc-grace-s = {GC_GRACE_S}\n"),
        };
        let text = format!(
            "name = {name:?}\nzone = {zone:?}\nroles = {roles:?}\ndata-dir = {data:?}\n\
             listen = \"{listen}\"\ncluster-listen = \"{address}:{cluster_port}\"\netcd = {etcd:?}\n\
             objects = \"s3://{BUCKET}/{PREFIX}\"\nobjects-endpoint = {s3:?}\nbundle = {bundle:?}\n\
             {grace}[host]\nsandboxes-max = 12\nmemory-limit = 8192\ndisk-limit = 16384\n{cache}",
            // The same in all its lives, as its clients need it.
            listen = place.socket(API_PORT),
            address = place.address(),
            data = self.data_dir(name),
            etcd = self.etcd.addresses(),
            s3 = self.s3.endpoint(),
            cache = cache.unwrap_or_default(),
        );
        let config = at("node.toml");
        std::fs::write(&config, text)?;
        let credentials = [
            ("AWS_ACCESS_KEY_ID", KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ];
        Ok(Node::new(name, place, config, credentials))
    }

    /// A node.
    pub fn node(&mut self, name: &str) -> Result<&mut Node> {
        self.nodes.get_mut(name).with_context(|| format!("no node {name}"))
    }

    /// The account of this cluster's test, as a client of one front end.
    pub async fn account_at(&mut self, name: &str) -> Result<Account> {
        if self.account.is_none() {
            let data = self.data_dir(name);
            let arguments = ["--output", "json", "accounts", "create", "test", "--data-dir"];
            let key: NewKey = json(&hearth(&arguments, &[&data]).await?)?;
            self.account = Some((key.access_key_id, key.secret_access_key));
        }
        let endpoint = self.node(name)?.endpoint.clone().context("it is no front end")?;
        let (id, secret) = self.account.as_ref().context("there is one now")?;
        Ok(Account::new(&endpoint, id, secret))
    }

    /// What `hearth` says to an operator of a node, in JSON, or why it does not.
    pub async fn operate(&self, node: &str, arguments: &[&str]) -> Result<Value> {
        let arguments = [&["--output", "json"], arguments, &["--data-dir"]].concat();
        json(&hearth(&arguments, &[&self.data_dir(node)]).await?)
    }

    /// How it is.
    pub async fn status(&self) -> Result<ClusterStatus> {
        let any = self.nodes.values().find(|node| node.runs()).context("no node runs")?;
        let arguments = ["--output", "json", "cluster", "status", "--config"];
        json(&hearth(&arguments, &[any.config()]).await?)
    }

    /// Ends every node that runs, each of which must end well.
    pub async fn stop(mut self) -> Result<()> {
        for node in self.nodes.values_mut().filter(|node| node.runs()) {
            node.stop().await?;
        }
        Ok(())
    }

    /// Who leads each partition, and in which epoch.
    pub async fn leaders(&self) -> Result<Vec<(String, Option<u64>)>> {
        let partitions = self.status().await?.partitions.into_iter();
        Ok(partitions.map(|partition| (partition.leader.node, partition.leader.epoch)).collect())
    }

    /// Waits until partitions are where they should be: what moves them would be taken for
    /// what a fault does.
    pub async fn settled(&self, within: Duration) -> Result<()> {
        // Longer than a node has to be there before it is given what is its own.
        const QUIET: Duration = Duration::from_secs(13);
        let began = Instant::now();
        let (mut last, mut since) = (Vec::new(), began);
        while last.is_empty() || since.elapsed() < QUIET {
            ensure!(began.elapsed() < within, "partitions do not come to rest: {last:?}");
            let now = self.leaders().await?;
            if now != last || now.iter().any(|(_, epoch)| epoch.is_none()) {
                (last, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Waits until every node is there, and leaders know of exactly as many sandboxes as
    /// workers have: what was put apart has come together, and nothing is left over.
    pub async fn agrees(&self, within: Duration) -> Result<()> {
        eventually("leaders and workers agree", within, || async {
            let status = self.status().await?;
            let led = status.partitions.iter().filter(|p| p.sandboxes.is_some()).count();
            let answer = status.nodes.iter().filter(|node| node.status.is_some()).count();
            let whole = answer == self.nodes.len() && led == PARTITIONS;
            Ok((whole && status.known() == status.held()).then_some(()))
        })
        .await
    }

    /// Where a node keeps its files.
    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}-data"))
    }
}

/// What `hearth` prints.
async fn hearth(arguments: &[&str], paths: &[&Path]) -> Result<Vec<u8>> {
    let mut command = Command::new(binary::hearth()?);
    command.args(arguments).args(paths).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {}: {stderr}", command.as_std(), output.status);
    Ok(output.stdout)
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .with_context(|| format!("not as expected: {}", String::from_utf8_lossy(bytes)))
}
