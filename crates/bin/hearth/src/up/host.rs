//! How much of this host sandboxes may have.

use anyhow::Context;

/// Share of the memory available at start that sandboxes may take; the rest is
/// the page cache's and everybody else's.
const MEMORY_SHARE_PERCENT: u64 = 80;
/// Fewest sandboxes that may be starting at once: while one waits for its disk,
/// another computes.
const STARTS_MIN: usize = 2;

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
