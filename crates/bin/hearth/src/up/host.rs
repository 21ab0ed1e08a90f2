//! How much of this host sandboxes may have.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Share of the memory available at start that sandboxes may take; the rest is
/// the page cache's and everybody else's.
const MEMORY_SHARE_PERCENT: u64 = 80;
/// Fewest sandboxes that may be starting at once: while one waits for its disk,
/// another computes.
const STARTS_MIN: usize = 2;

/// Bounds of the connections that clients may hold.
const CONNECTIONS_MIN: u64 = 64;
const CONNECTIONS_MAX: u64 = 1024;

/// Memory for sandboxes, in bytes, when the operator names none.
pub(crate) fn memory_for_sandboxes() -> anyhow::Result<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let kib = available_kib(&meminfo).context("/proc/meminfo does not say MemAvailable")?;
    Ok(kib * 1024 / 100 * MEMORY_SHARE_PERCENT)
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
    fn reads_meminfo() {
        assert_eq!(available_kib("MemTotal: 5 kB\nMemAvailable:   123456 kB\n"), Some(123_456));
        assert_eq!(available_kib("MemTotal: 5 kB\n"), None);
    }
}
