//! What a process takes of the host, from `/proc`.

use anyhow::{Context, Result};
use std::time::Duration;

/// What a process takes, all its threads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Memory that it has in RAM, files that it maps included.
    pub resident_bytes: u64,
    /// CPU time since its start.
    pub cpu: Duration,
}

impl Usage {
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let read = |name: &str| {
            let file = format!("/proc/{pid}/{name}");
            std::fs::read_to_string(&file).context(file)
        };
        let ticks = ticks(&read("stat")?).context("a process's times")?;
        Ok(Self {
            resident_bytes: resident_bytes(&read("status")?).context("a process's memory")?,
            cpu: Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()),
        })
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// User and system time: fields 14 and 15 of proc(5), after a name that may hold
/// anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(14 - 3);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_read() {
        assert_eq!(ticks("7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 30 12 5 6 20 0 3"), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(resident_bytes("VmHWM:\t 9 kB\nVmRSS:\t    3 kB\n"), Some(3072));
    }
}
