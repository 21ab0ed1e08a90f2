//! A cluster in three zones, where each process has a host of its own and what goes between
//! hosts can be lost.
//!
//! ```text
//!  zone a 10.77.1.0/24      zone b 10.77.2.0/24      zone c 10.77.3.0/24
//!   .2 etcd   .3 lead        .2 etcd   .3 lead        .2 etcd   .3 lead
//!   .4 front  .5 work        .4 front  .5 work        .4 front  .5 work
//!        └────────────────────── router ──────────────────────┘
//!                       10.77.0.1: the clients      10.77.9.2: the object store
//! ```

use crate::{Account, Cluster, Places, Plan, eventually};
use anyhow::Result;
use hearth_test_servers::{Lan, Place};
use std::collections::BTreeMap;
use std::time::Duration;

/// The zones.
pub const ZONES: [&str; 3] = ["a", "b", "c"];
/// The object store's network, which is no zone's.
const ELSEWHERE: u8 = 9;
/// A zone's hosts, by what they do, and their numbers.
const HOSTS: [(&str, u8); 4] = [("etcd", 2), ("lead", 3), ("front", 4), ("work", 5)];

/// Longest until sandboxes of workers that are gone are so too.
const FORGOTTEN_MAX: Duration = Duration::from_secs(40);

const PLANS: [Plan; 9] = [
    ("lead-a", "a", &["assignment"]),
    ("lead-b", "b", &["assignment"]),
    ("lead-c", "c", &["assignment"]),
    ("front-a", "a", &["frontend", "control"]),
    ("front-b", "b", &["frontend", "control"]),
    ("front-c", "c", &["frontend", "control"]),
    ("work-a", "a", &["worker"]),
    ("work-b", "b", &["worker"]),
    ("work-c", "c", &["worker"]),
];

/// The cluster, and what is between its hosts.
pub struct Zones {
    /// Its processes. They end before their hosts do.
    pub cluster: Cluster,
    lan: Lan,
}

impl Zones {
    /// Makes the hosts and starts the stores; the nodes are ready to be started.
    pub async fn prepare() -> Result<Self> {
        let mut lan = Lan::open();
        let mut places = BTreeMap::new();
        for (zone, network) in ZONES.into_iter().zip(1..) {
            for (what, number) in HOSTS {
                places.insert(format!("{what}-{zone}"), lan.host(network, number));
            }
        }
        let of = |name: &str| places[name].clone();
        let places = Places {
            etcd: ZONES.map(|zone| of(&format!("etcd-{zone}"))).into(),
            s3: lan.host(ELSEWHERE, 2),
            nodes: PLANS.iter().map(|plan| (plan.0, of(plan.0))).collect(),
        };
        let cluster = Cluster::prepare(&places, &PLANS).await?;
        Ok(Self { cluster, lan })
    }

    /// Starts a whole one.
    pub async fn start() -> Result<Self> {
        let mut zones = Self::prepare().await?;
        zones.cluster.start_nodes().await?;
        Ok(zones)
    }

    /// A further host of that zone, for who joins the cluster from outside of the harness.
    pub fn guest(&mut self, zone: &str) -> Place {
        self.lan.host(network(zone), 9)
    }

    /// The test's account, as a client of each front end.
    pub async fn fronts(&mut self) -> Result<Vec<Account>> {
        let mut fronts = Vec::new();
        for zone in ZONES {
            fronts.push(self.front(zone).await?);
        }
        Ok(fronts)
    }

    /// The test's account, as a client of a zone's front end.
    pub async fn front(&mut self, zone: &str) -> Result<Account> {
        self.cluster.account_at(&format!("front-{zone}")).await
    }

    /// A zone is cut off from everything that is not in it.
    pub fn cut_zone(&mut self, zone: &str) {
        let network = format!("10.77.{}.0/24", network(zone));
        self.lan.cut(&network, &format!("!= {network}"));
    }

    /// What these say to those is lost, and the other way round. Names are of hosts, such as
    /// `etcd-a`.
    pub fn cut(&mut self, these: &[String], those: &[String]) {
        self.lan.cut(&set(these), &set(those));
    }

    /// Waits until what ran in a zone that is cut off counts as gone.
    pub async fn forgotten(&self, zone: &str) -> Result<()> {
        eventually(&format!("zone {zone} is forgotten"), FORGOTTEN_MAX, || async {
            let status = self.cluster.status().await?;
            let is_there = status.nodes.iter().any(|node| node.name.ends_with(zone));
            Ok((!is_there && status.known() == status.held()).then_some(()))
        })
        .await
    }

    /// Ends every node, each of which must end well.
    pub async fn stop(self) -> Result<()> {
        let Self { cluster, lan: _until_they_have_ended } = self;
        cluster.stop().await
    }

    /// Nothing is lost any more.
    pub fn heal(&mut self) {
        self.lan.heal();
    }
}

/// The hosts of all zones that do that.
pub fn all(what: &str) -> Vec<String> {
    ZONES.map(|zone| format!("{what}-{zone}")).into()
}

/// Their addresses, in the words of nftables.
fn set(names: &[String]) -> String {
    let addresses = names.iter().map(|name| {
        let (what, zone) = name.split_once('-').expect("a host of a zone");
        let number = HOSTS.iter().find(|(host, _)| *host == what).expect("a host").1;
        format!("10.77.{}.{number}", network(zone))
    });
    format!("{{ {} }}", addresses.collect::<Vec<_>>().join(", "))
}

fn network(zone: &str) -> u8 {
    ZONES.iter().position(|name| *name == zone).expect("a zone") as u8 + 1
}
