//! The file that says what a node is: typed, and strict about what it does not know.

use crate::up::HostArgs;
use anyhow::{Context, bail};
use hearth_capacity::CapacityConfig;
use hearth_metastore_etcd::{EtcdOptions, EtcdTls};
use hearth_objects::{Endpoint, Location};
use hearth_services::cluster::Role;
use hearth_types::{NodeName, TimeoutS, ZoneName};
use hearth_vmm::VmmOptions;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below this the steps that follow from it are too short for any machine. Tests use it; who
/// cares for what is stored takes hours.
const GC_GRACE_S_MIN: u64 = 60;

/// Arguments of `hearth node`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The file is TOML; docs/cluster.md shows one. What is not in it has the value that
`hearth up --help` names, and what should not be in it is refused.")]
pub(crate) struct NodeArgs {
    /// What the node is.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// What it does, instead of what the file says: frontend, control, assignment, worker,
    /// capacity, separated by commas.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    pub(crate) roles: Vec<Role>,
    /// Where it stands, instead of what the file says: what fails together is one zone.
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<ZoneName>,
}

/// What a node is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// Its name; its certificate has it too.
    pub(crate) name: NodeName,
    /// Where it stands.
    pub(crate) zone: ZoneName,
    /// What it does.
    #[serde(default = "all_roles")]
    pub(crate) roles: BTreeSet<Role>,
    /// Its own files. One node per directory.
    pub(crate) data_dir: PathBuf,
    /// Where it serves the Lambda API, if it is a front end.
    #[serde(default = "listen")]
    pub(crate) listen: SocketAddr,
    /// Where it serves the other nodes.
    pub(crate) cluster_listen: SocketAddr,
    /// Where they reach it, if that is elsewhere; `host:port`.
    pub(crate) advertise: Option<String>,
    /// Where it serves metrics, on a loopback address, if at all.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Where it tells probes whether it lives and is ready, if anywhere.
    pub(crate) health_listen: Option<SocketAddr>,
    /// Members of etcd, as `https://host:port`, or `http` if no `etcd-ca` is named.
    pub(crate) etcd: Vec<String>,
    /// The authority of etcd's certificates, in PEM.
    pub(crate) etcd_ca: Option<PathBuf>,
    /// The certificate that etcd is shown, if it asks for one, and its key.
    pub(crate) etcd_certificate: Option<PathBuf>,
    pub(crate) etcd_key: Option<PathBuf>,
    /// What all keys in etcd begin with.
    #[serde(default = "namespace")]
    pub(crate) namespace: String,
    /// Where code and snapshots are, the same for all nodes.
    #[serde(deserialize_with = "from_text")]
    pub(crate) objects: Location,
    /// The server of `objects`, if it is not AWS's.
    #[serde(default, deserialize_with = "some_from_text")]
    pub(crate) objects_endpoint: Option<Endpoint>,
    /// What `hearth cluster issue` made for this node: its certificate, and the master key.
    pub(crate) bundle: PathBuf,
    /// Speaks without certificates, to nodes of this host alone.
    #[serde(default)]
    pub(crate) plaintext_on_loopback: bool,
    /// How long an idle sandbox is kept at most, in seconds.
    #[serde(default = "keep_alive_s")]
    pub(crate) keep_alive_s: u64,
    /// How long running invokes may still take once the node is told to stop, in seconds.
    #[serde(default = "shutdown_grace_s")]
    pub(crate) shutdown_grace_s: u64,
    /// How long what is stored is safe from the cluster's garbage collection, in seconds: the
    /// same for all nodes. Everything that takes time there follows from it.
    #[serde(default = "gc_grace_s")]
    pub(crate) gc_grace_s: u64,
    /// How many workers there are, and who starts them.
    #[serde(default)]
    pub(crate) capacity: CapacityConfig,
    /// What this host gives to sandboxes.
    #[serde(default)]
    pub(crate) host: HostArgs,
}

impl NodeArgs {
    /// Reads the file, and puts in what the arguments say instead.
    pub(crate) fn config(&self) -> anyhow::Result<NodeConfig> {
        let mut config = NodeConfig::read(&self.config)?;
        if !self.roles.is_empty() {
            config.roles = self.roles.iter().copied().collect();
        }
        if let Some(zone) = &self.zone {
            config.zone = zone.clone();
        }
        Ok(config)
    }
}

impl NodeConfig {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the node's configuration {}", path.display()))?;
        let config: Self = toml::from_str(&text)
            .with_context(|| format!("{} is no configuration of a node", path.display()))?;
        if config.metrics_listen.is_some_and(|address| !address.ip().is_loopback()) {
            bail!("{}: metrics-listen needs a loopback address", path.display());
        }
        if config.shutdown_grace_s > u64::from(TimeoutS::MAX) {
            bail!("{}: no function runs for longer than {} s", path.display(), TimeoutS::MAX);
        }
        if config.gc_grace_s < GC_GRACE_S_MIN {
            bail!("{}: gc-grace-s is at least {GC_GRACE_S_MIN}", path.display());
        }
        if !(1..=VmmOptions::SLOTS_MAX).contains(&config.host.sandboxes_max) {
            bail!("{}: sandboxes-max is 1 to {}", path.display(), VmmOptions::SLOTS_MAX);
        }
        if config.roles.is_empty() {
            bail!("{}: a node without roles does nothing; name some", path.display());
        }
        config.capacity.check().with_context(|| format!("{}: [capacity]", path.display()))?;
        Ok(config)
    }

    /// How to reach etcd; reads the files that secure it.
    pub(crate) fn etcd(&self) -> anyhow::Result<EtcdOptions> {
        let identity = match (&self.etcd_certificate, &self.etcd_key) {
            (Some(certificate), Some(key)) => Some((pem(certificate)?, pem(key)?)),
            (None, None) => None,
            _ => bail!("etcd-certificate and etcd-key go together"),
        };
        let tls = match &self.etcd_ca {
            Some(ca) => Some(EtcdTls { ca: pem(ca)?, identity }),
            None if identity.is_some() => bail!("etcd-certificate needs etcd-ca"),
            None => None,
        };
        let (members, namespace) = (self.etcd.iter().cloned(), self.namespace.clone());
        Ok(EtcdOptions { namespace, tls, ..EtcdOptions::new(members) })
    }

    pub(crate) fn does(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub(crate) fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }

    pub(crate) fn gc_grace(&self) -> Duration {
        Duration::from_secs(self.gc_grace_s)
    }

    pub(crate) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_s)
    }
}

fn pem(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn all_roles() -> BTreeSet<Role> {
    Role::ALL.into()
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9070))
}

fn namespace() -> String {
    "hearth".to_owned()
}

fn keep_alive_s() -> u64 {
    600
}

fn gc_grace_s() -> u64 {
    24 * 3600
}

fn shutdown_grace_s() -> u64 {
    30
}

fn from_text<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
}

fn some_from_text<'de, D, T>(input: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    from_text(input).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"
name = "n1"
zone = "a"
data-dir = "d"
cluster-listen = "127.0.0.1:0"
etcd = ["http://127.0.0.1:2379"]
objects = "s3://bucket/prefix"
bundle = "b"
"#;

    fn read(text: &str) -> Result<NodeConfig, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        NodeConfig::read(file.path()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let config = read(LEAST).unwrap();
        assert_eq!(config.roles.len(), Role::ALL.len());
        assert_eq!((config.host.sandboxes_max, config.keep_alive_s), (64, 600));
        let more = format!("{LEAST}roles = [\"worker\"]\n[host]\nsandboxes-max = 3\n");
        let config = read(&more).unwrap();
        assert_eq!((config.does(Role::Worker), config.does(Role::Frontend)), (true, false));
        assert_eq!(config.host.sandboxes_max, 3);
    }

    #[test]
    fn what_is_wrong_is_refused_by_its_name() {
        for (wrong, says) in [
            (format!("{LEAST}rolls = []\n"), "rolls"),
            (format!("{LEAST}[host]\nmemory = 1\n"), "memory"),
            (format!("{LEAST}[capacity]\nmin-workers = 0\n"), "min-workers"),
            (format!("{LEAST}metrics-listen = \"10.0.0.1:1\"\n"), "loopback"),
            (format!("{LEAST}shutdown-grace-s = 901\n"), "no function runs"),
            (format!("{LEAST}gc-grace-s = 1\n"), "gc-grace-s"),
            (format!("{LEAST}[host]\nsandboxes-max = 0\n"), "sandboxes-max"),
            (format!("{LEAST}roles = []\n"), "without roles"),
            (format!("{LEAST}roles = [\"boss\"]\n"), "boss"),
            (LEAST.replace("bundle = \"b\"", ""), "bundle"),
            (LEAST.replace("n1", "N 1"), "small letters"),
            (LEAST.replace("s3://bucket/prefix", "ftp://x"), "objects"),
        ] {
            let error = read(&wrong).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
