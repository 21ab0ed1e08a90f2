//! What befalls the cluster: one thing at a time, made good before the next.

use anyhow::Result;
use hearth_e2e::Cluster;
use hearth_test_servers::Signal as EtcdSignal;
use rand::{Rng, RngExt};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::sleep;

const LEADERS: [&str; 3] = ["lead-a", "lead-b", "lead-c"];
const WORKERS: [&str; 2] = ["work-a", "work-b"];

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    LeaderKilled,
    LeaderFrozen,
    LeaderStopped,
    WorkerKilled,
    WorkerFrozen,
    LeaderAndWorkerKilled,
    EtcdMemberKilled,
    EtcdMemberFrozen,
    EtcdMajorityFrozen,
    ObjectsGone,
}

impl Fault {
    const ALL: [Self; 10] = [
        Self::LeaderKilled,
        Self::LeaderFrozen,
        Self::LeaderStopped,
        Self::WorkerKilled,
        Self::WorkerFrozen,
        Self::LeaderAndWorkerKilled,
        Self::EtcdMemberKilled,
        Self::EtcdMemberFrozen,
        Self::EtcdMajorityFrozen,
        Self::ObjectsGone,
    ];

    pub(crate) fn random(random: &mut impl Rng) -> Self {
        Self::ALL[random.random_range(0..Self::ALL.len())]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LeaderKilled => "kill -9 of a leader and front end",
            Self::LeaderFrozen => "a leader and front end frozen",
            Self::LeaderStopped => "SIGTERM to a leader and front end",
            Self::WorkerKilled => "kill -9 of a worker",
            Self::WorkerFrozen => "a worker frozen",
            Self::LeaderAndWorkerKilled => "kill -9 of both",
            Self::EtcdMemberKilled => "kill -9 of etcd's leader",
            Self::EtcdMemberFrozen => "a member of etcd frozen",
            Self::EtcdMajorityFrozen => "a majority of etcd frozen",
            Self::ObjectsGone => "kill -9 of the object store",
        }
    }

    /// Happens, lasts a while, and is over.
    pub(crate) async fn befalls(self, cluster: &mut Cluster, random: &mut impl Rng) -> Result<()> {
        let lasts = Duration::from_millis(random.random_range(200..5000));
        let leader = LEADERS[random.random_range(0..LEADERS.len())];
        let worker = WORKERS[random.random_range(0..WORKERS.len())];
        let member = random.random_range(0..cluster.etcd.nodes.len());
        match self {
            Self::LeaderKilled => killed(cluster, &[leader], lasts).await,
            Self::WorkerKilled => killed(cluster, &[worker], lasts).await,
            Self::LeaderAndWorkerKilled => killed(cluster, &[leader, worker], lasts).await,
            Self::LeaderFrozen => frozen(cluster, leader, lasts).await,
            Self::WorkerFrozen => frozen(cluster, worker, lasts).await,
            Self::LeaderStopped => {
                cluster.node(leader)?.stop().await?;
                sleep(lasts).await;
                cluster.node(leader)?.start().await
            }
            Self::EtcdMemberKilled => {
                let leads = cluster.etcd.leader().await;
                cluster.etcd.nodes[leads].kill();
                sleep(lasts).await;
                cluster.etcd.run(leads);
                Ok(())
            }
            Self::EtcdMemberFrozen => {
                etcd_frozen(cluster, &[member], lasts).await;
                Ok(())
            }
            Self::EtcdMajorityFrozen => {
                etcd_frozen(cluster, &[member, (member + 1) % 3], lasts).await;
                Ok(())
            }
            Self::ObjectsGone => {
                cluster.s3.kill();
                sleep(lasts).await;
                cluster.s3.restart().await;
                Ok(())
            }
        }
    }
}

async fn killed(cluster: &mut Cluster, nodes: &[&str], lasts: Duration) -> Result<()> {
    for name in nodes {
        cluster.node(name)?.kill().await?;
    }
    sleep(lasts).await;
    for name in nodes {
        cluster.node(name)?.start().await?;
    }
    Ok(())
}

async fn frozen(cluster: &mut Cluster, name: &str, lasts: Duration) -> Result<()> {
    cluster.node(name)?.signal(Signal::STOP)?;
    sleep(lasts).await;
    cluster.node(name)?.signal(Signal::CONT)
}

async fn etcd_frozen(cluster: &Cluster, members: &[usize], lasts: Duration) {
    for member in members {
        cluster.etcd.nodes[*member].signal(EtcdSignal::SIGSTOP);
    }
    sleep(lasts).await;
    for member in members {
        cluster.etcd.nodes[*member].signal(EtcdSignal::SIGCONT);
    }
}
