//! Who is in a cluster, and who leads what of it: records of the metadata store that go
//! when whoever they speak of does.

use crate::worker::Standing;
use hearth_types::{NodeLife, NodeName, Partition, Timestamp, WorkerId, ZoneName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Serves the Lambda API.
    Frontend,
    /// Builds snapshots, and clears away what nothing names.
    Control,
    /// Leads and follows partitions.
    Assignment,
    /// Runs sandboxes.
    Worker,
    /// Looks after the workers: how many there are, and which are well.
    Capacity,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Frontend, Self::Control, Self::Assignment, Self::Worker, Self::Capacity];

    /// The word used in arguments and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Control => "control",
            Self::Assignment => "assignment",
            Self::Worker => "worker",
            Self::Capacity => "capacity",
        }
    }
}

/// The text is none of the roles.
#[derive(Debug, thiserror::Error)]
#[error("a role is one of frontend, control, assignment, worker and capacity")]
pub struct UnknownRole;

impl std::str::FromStr for Role {
    type Err = UnknownRole;
    fn from_str(s: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or(UnknownRole)
    }
}

/// What all nodes agree on, as stored under [`keys::CLUSTER`](crate::keys::CLUSTER). Made
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Into how many partitions functions are divided.
    pub partitions: u16,
}

/// A node that lives, as stored under [`keys::node`](crate::keys::node) by its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name.
    pub name: NodeName,
    /// Which life.
    pub life: NodeLife,
    /// Where it stands.
    pub zone: ZoneName,
    /// What it does.
    pub roles: BTreeSet<Role>,
    /// Where the others reach it, as `host:port`.
    pub address: String,
    /// Its worker, if it is one.
    pub worker: Option<WorkerId>,
    /// What its records are bound to.
    pub lease: u64,
    /// Since when it lives.
    pub started: Timestamp,
    /// Of which Hearth.
    pub version: String,
}

/// A worker that is on its way out, as stored under [`keys::worker`](crate::keys::worker)
/// by the capacity manager. One that serves has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingRecord {
    /// What it may still do.
    pub standing: Standing,
    /// It goes because there are too many, not to be replaced.
    pub leaves: bool,
}

/// Who leads a partition, as stored under [`keys::leader`](crate::keys::leader) by the
/// leader's lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Which node.
    pub node: NodeName,
    /// In which life.
    pub life: NodeLife,
    /// Where it is reached.
    pub address: String,
    /// Its epoch; none while it gets ready.
    pub epoch: Option<u64>,
}

/// The partition of a key of [`keys::LEADERS`](crate::keys::LEADERS).
pub fn partition_of(key: &str) -> Option<Partition> {
    key.strip_prefix(crate::keys::LEADERS)?.parse().ok().map(Partition)
}
