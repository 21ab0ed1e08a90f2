//! How much of this host sandboxes and clients may have.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Share of the memory available at start that sandboxes may take; the rest is
/// the page cache's and everybody else's.
const MEMORY_SHARE_PERCENT: u64 = 80;
/// Share of what sandboxes leave that payloads may take.
const PAYLOAD_SHARE_PERCENT: u64 = 50;
/// Bounds of that. Of the least, an account that is alone can hold two of the largest
/// events or answers.
const PAYLOAD_BYTES_MIN: u64 = 64 * 1024 * 1024;
const PAYLOAD_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Fewest sandboxes that may be starting at once: while one waits for its disk,
/// another computes.
const STARTS_MIN: usize = 2;

/// Bounds of the connections that clients may hold.
const CONNECTIONS_MIN: u64 = 64;
const CONNECTIONS_MAX: u64 = 1024;

/// Who may take how much of the memory that is available at start, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MemoryShares {
    pub(crate) sandboxes: u64,
    pub(crate) payloads: usize,
}

/// Shares the host's memory out; `limit` is what the operator gives to sandboxes.
pub(crate) fn share_memory(limit: Option<u64>) -> anyhow::Result<MemoryShares> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let kib = available_kib(&meminfo).context("/proc/meminfo does not say MemAvailable")?;
    Ok(shares(kib * 1024, limit))
}

fn shares(available: u64, limit: Option<u64>) -> MemoryShares {
    let sandboxes = limit.unwrap_or(available / 100 * MEMORY_SHARE_PERCENT);
    let payloads = available.saturating_sub(sandboxes) / 100 * PAYLOAD_SHARE_PERCENT;
    let payloads = payloads.clamp(PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX) as usize;
    MemoryShares { sandboxes, payloads }
}

/// Most sandboxes that may be starting at once: one a processor, because a
/// start is mostly computing, and more would only slow each other down.
pub(crate) fn starts_max() -> usize {
    std::thread::available_parallelism().map_or(STARTS_MIN, |n| n.get().max(STARTS_MIN))
}

/// Raises the soft limit of open descriptors to the hard one. The usual soft
/// limit of 1,024 would be used up by as many idle clients.
pub(crate) fn raise_descriptor_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("cannot raise the limit of open files")
}

/// Connections that clients may hold, of the descriptors there are; the rest is
/// for sandboxes, stores and logs.
pub(crate) fn connections_max() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (descriptors / 4).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX) as usize
}

fn available_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_get_half_of_what_sandboxes_leave_within_bounds() {
        const GIB: u64 = 1 << 30;
        const MIB: u64 = 1 << 20;
        for (available, limit, sandboxes, payloads) in [
            (100 * GIB, None, 80 * GIB, 512 * MIB),
            (1000 * MIB, None, 800 * MIB, 100 * MIB),
            (2 * GIB, Some(GIB), GIB, 512 * MIB),
            (GIB, Some(2 * GIB), 2 * GIB, 64 * MIB),
        ] {
            let shares = shares(available, limit);
            let about = |bytes: u64, wanted| bytes.abs_diff(wanted) < MIB;
            assert!(
                about(shares.sandboxes, sandboxes) && about(shares.payloads as u64, payloads),
                "{available} {limit:?}: {shares:?}"
            );
        }
    }

    #[test]
    fn reads_meminfo() {
        assert_eq!(available_kib("MemTotal: 5 kB\nMemAvailable:   123456 kB\n"), Some(123_456));
        assert_eq!(available_kib("MemTotal: 5 kB\n"), None);
    }
}
