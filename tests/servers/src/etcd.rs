//! Real etcd: one member or several, on loopback or hosts of their own, in directories that
//! go with them.

use crate::{Place, gateway};
use hearth_programs::Program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const ETCD: Program = Program::new("etcd", "etcd-server");
/// Between the leader's signs of life; the followers elect another after ten of them. One
/// member alone elects itself, at once.
const HEARTBEAT_MS: u32 = 50;
const HEARTBEAT_ALONE_MS: u32 = 5;
/// How often a cluster is begun anew whose ports somebody else took.
const STARTS_MAX: usize = 5;
/// Between two looks at a member.
const POLL: Duration = Duration::from_millis(20);
/// What etcd's ports are where nobody else has any.
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;
/// How long a member may take to serve.
pub const START_MAX: Duration = Duration::from_secs(30);

/// A member.
pub struct Member {
    name: String,
    place: Place,
    dir: TempDir,
    client: SocketAddr,
    peer: SocketAddr,
    process: Option<Child>,
}

/// All members of a cluster.
pub struct Etcd {
    /// The members.
    pub nodes: Vec<Member>,
}

impl Etcd {
    /// Starts that many members on loopback, and waits until they serve.
    pub async fn start(members: usize) -> Self {
        Self::start_at(&vec![Place::loopback(); members]).await
    }

    /// Starts a member at each place, and waits until they serve.
    pub async fn start_at(places: &[Place]) -> Self {
        for _ in 0..STARTS_MAX {
            let nodes = places.iter().enumerate().map(|(at, place)| Member::new(at, place));
            let mut cluster = Self { nodes: nodes.collect() };
            for at in 0..places.len() {
                cluster.run(at);
            }
            if cluster.serves().await {
                return cluster;
            }
        }
        panic!("etcd does not start");
    }

    /// Starts a member that was killed.
    pub fn run(&mut self, at: usize) {
        let all: Vec<_> =
            self.nodes.iter().map(|n| format!("{}=http://{}", n.name, n.peer)).collect();
        self.nodes[at].run(&all.join(","));
    }

    async fn serves(&mut self) -> bool {
        let address = self.nodes[0].client;
        let answers = async {
            let mut poll = tokio::time::interval(POLL);
            while !gateway::post(address, "kv/range", "{\"key\":\"AA==\"}")
                .await
                .contains(" 200 OK")
            {
                poll.tick().await;
            }
        };
        tokio::select! {
            answered = tokio::time::timeout(START_MAX, answers) => answered.is_ok(),
            () = self.first_exit() => false,
        }
    }

    /// Returns once a member ended by itself.
    async fn first_exit(&mut self) {
        let mut poll = tokio::time::interval(POLL);
        let has_exited =
            |n: &mut Member| n.process.as_mut().is_some_and(|p| p.try_wait().unwrap().is_some());
        while !self.nodes.iter_mut().any(has_exited) {
            poll.tick().await;
        }
    }

    /// Where the members serve clients.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(Member::address).collect()
    }

    /// Which member leads; waits until one does.
    pub async fn leader(&self) -> usize {
        let leads = async {
            let mut poll = tokio::time::interval(POLL);
            loop {
                poll.tick().await;
                if let Some(at) = self.leads_now().await {
                    return at;
                }
            }
        };
        tokio::time::timeout(START_MAX, leads).await.expect("a member leads")
    }

    async fn leads_now(&self) -> Option<usize> {
        for (at, node) in self.nodes.iter().enumerate() {
            let status = gateway::post(node.client, "maintenance/status", "{}").await;
            let field = |name: &str| {
                let (_, rest) = status.split_once(&format!("\"{name}\":\""))?;
                rest.split('"').next().map(str::to_owned)
            };
            if field("leader").is_some() && field("leader") == field("member_id") {
                return Some(at);
            }
        }
        None
    }
}

impl Member {
    fn new(number: usize, place: &Place) -> Self {
        let (name, place) = (format!("n{number}"), place.clone());
        let dir = tempfile::tempdir().unwrap();
        let (client, peer) = (place.socket(CLIENT_PORT), place.socket(PEER_PORT));
        Self { name, place, dir, client, peer, process: None }
    }

    fn run(&mut self, cluster: &str) {
        assert!(self.process.is_none(), "it runs already");
        let (client, peer) = (self.address(), format!("http://{}", self.peer));
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut etcd = ETCD.command().unwrap();
        etcd.args(["--name", &self.name, "--initial-cluster", cluster]);
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        let heartbeat_ms = if cluster.contains(',') { HEARTBEAT_MS } else { HEARTBEAT_ALONE_MS };
        etcd.args(["--heartbeat-interval", &heartbeat_ms.to_string()]);
        etcd.args(["--election-timeout", &(10 * heartbeat_ms).to_string()]);
        etcd.arg("--data-dir").arg(self.dir.path().join("data"));
        etcd.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(self.place.within(|| etcd.spawn()).unwrap());
    }

    /// Where it serves clients.
    pub fn address(&self) -> String {
        format!("http://{}", self.client)
    }

    /// The same.
    pub fn socket(&self) -> SocketAddr {
        self.client
    }

    /// Kills it, as losing its machine would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Has it hang, or go on.
    pub fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().expect("it runs").id();
        kill(Pid::from_raw(pid as i32), signal).unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
