//! Arguments of `hearth up`, validated.

use hearth_types::TimeoutS;
use hearth_vmm::{Cidr, VmmOptions};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hearth up`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Logs go to stderr. HEARTH_LOG says which: a level (error, warn, info, debug, trace),
or levels by part, as in HEARTH_LOG=info,hearth_worker=debug. The default is info.
With hearth_frontend=debug, what is logged within a call says which function and
sandbox it is about.")]
pub(crate) struct UpArgs {
    /// Where functions, code, logs and keys are kept. One server per directory.
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_data_dir())]
    pub(crate) data_dir: PathBuf,
    /// Where code, images and snapshots are kept: a folder, or s3://BUCKET/PREFIX, which
    /// must be this server's alone. S3 takes credentials and region from the AWS variables
    /// and files, as their tools do; else objects/ in the data directory.
    #[arg(long, value_name = "URL")]
    pub(crate) objects: Option<hearth_objects::Location>,
    /// The server of s3:// [else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's
    /// endpoint_url, AWS's].
    #[arg(long, value_name = "URL", requires = "objects")]
    pub(crate) objects_endpoint: Option<hearth_objects::Endpoint>,
    /// Where the Lambda API is served; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9070")]
    pub(crate) listen: SocketAddr,
    /// Where Prometheus may scrape metrics, at /metrics, on a loopback address: anybody who
    /// reaches it may read them. Not served unless asked for.
    #[arg(long, value_name = "ADDR:PORT", value_parser = loopback)]
    pub(crate) metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// How long an idle sandbox is kept at most, in seconds; it goes sooner where its function's
    /// past says that it is not worth keeping.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(crate) keep_alive: Duration,
    /// How long running invokes may still take once the server is told to stop, in seconds;
    /// then they are cut.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = shutdown_grace)]
    pub(crate) shutdown_grace: Duration,
    /// How long ago something must have been written to go with a collection, once nothing needs
    /// it, in seconds. What this server uses or is just storing stays however young it is; a
    /// longer grace is for what another program writes to the same object store.
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub(crate) gc_grace: Duration,
}

/// What this host gives to sandboxes.
#[derive(Clone, Debug, clap::Args, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct HostArgs {
    /// What keeps sandboxes apart; `auto` takes the strongest that this host can run, and says why.
    #[arg(long, value_enum, default_value_t = Isolation::Auto)]
    pub(crate) isolation: Isolation,
    /// Where guest images are kept; they outlive data directories.
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_image_cache())]
    pub(crate) image_cache: PathBuf,
    /// Most sandboxes alive at once.
    #[arg(long, value_name = "N", default_value_t = SANDBOXES_MAX,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(VmmOptions::SLOTS_MAX)))]
    pub(crate) sandboxes_max: u32,
    /// Host memory for sandboxes, in MiB; else 80 % of what is available at start.
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_limit: Option<u64>,
    /// Disk for sandboxes' /tmp, in MiB; else 80 % of what is free at start.
    #[arg(long, value_name = "MIB")]
    pub(crate) disk_limit: Option<u64>,
    /// Private network that functions may reach, beside the public internet (repeatable).
    #[arg(long, value_name = "CIDR")]
    #[serde(deserialize_with = "cidrs")]
    pub(crate) allow_network: Vec<Cidr>,
}

/// Most sandboxes alive at once, unless the operator says otherwise.
const SANDBOXES_MAX: u32 = 64;

impl Default for HostArgs {
    fn default() -> Self {
        Self {
            isolation: Isolation::Auto,
            image_cache: crate::cli::default_image_cache(),
            sandboxes_max: SANDBOXES_MAX,
            memory_limit: None,
            disk_limit: None,
            allow_network: Vec::new(),
        }
    }
}

fn cidrs<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<Cidr>, D::Error> {
    let texts: Vec<String> = serde::Deserialize::deserialize(input)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

/// Which VM driver runs sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Isolation {
    /// The strongest that this host can run.
    Auto,
    /// Firecracker on KVM; not in this version.
    Firecracker,
    /// QEMU's microvm machine: on KVM where it works, else in software.
    Qemu,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "not an address and a port".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("metrics are for this machine only: a loopback address is needed".to_owned()),
    }
}

/// More would be waiting for nothing: no function runs for longer.
const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(TimeoutS::MAX as u64);

fn shutdown_grace(text: &str) -> Result<Duration, String> {
    let grace = seconds(text)?;
    match grace <= SHUTDOWN_GRACE_MAX {
        true => Ok(grace),
        false => Err(format!("no function runs for longer than {} seconds", TimeoutS::MAX)),
    }
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdowns_grace_is_no_longer_than_a_function_may_run() {
        assert_eq!(shutdown_grace("900"), Ok(Duration::from_secs(900)));
        assert_eq!(shutdown_grace("0"), Ok(Duration::ZERO));
        for wrong in ["901", "soon", "-1"] {
            assert!(shutdown_grace(wrong).is_err(), "{wrong}");
        }
    }
}
