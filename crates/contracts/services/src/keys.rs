//! The layout of the metadata store's keys: who writes what, where.
//!
//! ```text
//! store                                    the store's own name, a UUID
//! account/ACCOUNT                          AccountRecord
//! access-key/AKID                          AccessKeyRecord
//! function/ACCOUNT/NAME                    FunctionRecord   (tags, counter, aliases)
//! version/ACCOUNT/NAME/VERSION             FunctionVersion  ($LATEST or %020d)
//! package/ACCOUNT/SHA256                   PackageRecord    (a zip and its image)
//! journal/PARTITION/…                      what the journal's crate says
//! cluster                                  ClusterRecord
//! control                                  the life of the node whose turn it is
//! node/NAME                                NodeRecord       while it lives
//! leader/PARTITION                         LeaderRecord     while it lives
//! capacity                                 the life of the node that manages capacity
//! capacity/use                             how the fleet was used
//! capacity/coming                          which workers were asked for
//! worker/WORKER                            StandingRecord   while it is on its way out
//! ```
//!
//! Deleting a function removes its record first, so versions
//! without a record are leftovers of a deletion and do not exist for anybody.
//! Control writes all of them down to the packages, but the first; the others are nodes' own, and
//! the last three the capacity manager's. Front ends watch `access-key/`, `function/` and
//! `version/`. Values are JSON, but for the journal's: [`encode`] and
//! [`decode`] are the only way in and out, so every role agrees on the bytes.

use bytes::Bytes;
use hearth_types::{
    AccessKeyId, AccountId, AliasName, CodeLocation, FunctionName, NodeName, Partition, RevisionId,
    Secret, Timestamp, Version, Weight, WorkerId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An account, as stored under [`account`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its id.
    pub id: AccountId,
    /// The operator's name for it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// An access key, as stored under [`access_key`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    /// The public half.
    pub id: AccessKeyId,
    /// The half that signs.
    pub secret: Secret,
    /// Whom it speaks for.
    pub account: AccountId,
    /// When it was made.
    pub created: Timestamp,
}

/// What belongs to a function rather than to one version of it, as stored
/// under [`function`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// Tags, as `ListTags` returns them.
    pub tags: BTreeMap<String, String>,
    /// The number that the next published version gets; never reused.
    pub next_version: u64,
    /// Aliases. In this one record, so that naming a version and deleting it exclude
    /// each other. Records from before there were any have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<AliasName, AliasRecord>,
}

/// A code package, as stored under [`package`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// Where its files are.
    #[serde(flatten)]
    pub location: CodeLocation,
    /// It is about to be removed, unless a version names it: who wants to name it has to
    /// take this back first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doomed: bool,
}

/// What an alias names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// Free text.
    pub description: String,
    /// Changes with each update.
    pub revision: RevisionId,
    /// The version that it names.
    pub version: Version,
    /// A second one, and its share of invokes.
    pub additional: Option<(Version, Weight)>,
    /// The version that serves while `version` is not ready: what was served when it
    /// was named. None if it was ready then, or there was none before.
    pub before: Option<Version>,
}

impl AliasRecord {
    /// The versions that may serve an invoke, best first: the first that is ready is
    /// to. `chance` says where weights send it.
    pub fn candidates(&self, chance: impl FnOnce() -> u64) -> impl Iterator<Item = Version> {
        let additional = self.additional.filter(|(_, weight)| weight.takes(chance()));
        let additional = additional.map(|(version, _)| version);
        additional.into_iter().chain([self.version]).chain(self.before)
    }
}

/// A record as the store keeps it.
pub fn encode<T: Serialize>(record: &T) -> Bytes {
    // Records are maps of strings and numbers, which JSON can always hold.
    serde_json::to_vec(record).expect("a record has a JSON form").into()
}

/// A record read from the store; an error means that the store is damaged or
/// was written by a newer Hearth.
pub fn decode<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(value)
}

/// Key of the name of this store, made when something elsewhere is to name it.
pub const STORE: &str = "store";
/// Prefix of all accounts.
pub const ACCOUNTS: &str = "account/";
/// Prefix of all access keys.
pub const ACCESS_KEYS: &str = "access-key/";
/// Prefix of all function records.
pub const FUNCTIONS: &str = "function/";
/// Prefix of all versions.
pub const VERSIONS: &str = "version/";
/// Prefix of all code packages.
pub const PACKAGES: &str = "package/";

/// Key of what all nodes of a cluster agree on.
pub const CLUSTER: &str = "cluster";
/// Prefix of all journals.
pub const JOURNALS: &str = "journal/";
/// Key of the node whose turn control is.
pub const CONTROL: &str = "control";
/// Key of the node that collects garbage.
pub const GARBAGE: &str = "garbage";
/// Prefix of all nodes.
pub const NODES: &str = "node/";
/// Prefix of all partitions' leaders.
pub const LEADERS: &str = "leader/";

/// Key of the node that manages capacity.
pub const CAPACITY: &str = "capacity";
/// Key of how the fleet was used.
pub const CAPACITY_USE: &str = "capacity/use";
/// Key of the workers that were asked for.
pub const CAPACITY_COMING: &str = "capacity/coming";
/// Prefix of the standings of all workers that are on their way out.
pub const WORKERS: &str = "worker/";

/// Key of a worker's standing.
pub fn worker(id: &WorkerId) -> String {
    format!("{WORKERS}{id}")
}

/// The worker of a key of [`WORKERS`].
pub fn worker_of(key: &str) -> Option<WorkerId> {
    key.strip_prefix(WORKERS)?.parse().ok()
}

/// Key of a node.
pub fn node(name: &NodeName) -> String {
    format!("{NODES}{name}")
}

/// Key of a partition's leader.
pub fn leader(partition: Partition) -> String {
    format!("{LEADERS}{partition}")
}

/// Key of an account.
pub fn account(id: &AccountId) -> String {
    format!("{ACCOUNTS}{id}")
}

/// Key of an access key.
pub fn access_key(id: &AccessKeyId) -> String {
    format!("{ACCESS_KEYS}{id}")
}

/// Key of a function's record.
pub fn function(account: &AccountId, name: &FunctionName) -> String {
    format!("{FUNCTIONS}{account}/{name}")
}

/// Prefix of one account's function records.
pub fn functions_of(account: &AccountId) -> String {
    format!("{FUNCTIONS}{account}/")
}

/// Key of a version. Numbers are padded so that keys sort as numbers do;
/// `$LATEST` sorts before them.
pub fn version(account: &AccountId, name: &FunctionName, version: Version) -> String {
    let prefix = versions_of(account, name);
    match version {
        Version::Latest => format!("{prefix}$LATEST"),
        Version::Published(n) => format!("{prefix}{n:020}"),
    }
}

/// Prefix of one function's versions.
pub fn versions_of(account: &AccountId, name: &FunctionName) -> String {
    format!("{VERSIONS}{account}/{name}/")
}

/// Prefix of the versions of all of one account's functions.
pub fn versions_of_account(account: &AccountId) -> String {
    format!("{VERSIONS}{account}/")
}

/// Key of a code package, by the hash of the zip. It is walled by account: nobody can
/// learn what others have uploaded.
pub fn package(account: &AccountId, zip_sha256: &[u8; 32]) -> String {
    let hex: String = zip_sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PACKAGES}{account}/{hex}")
}

/// Prefix of one account's code packages.
pub fn packages_of(account: &AccountId) -> String {
    format!("{PACKAGES}{account}/")
}
