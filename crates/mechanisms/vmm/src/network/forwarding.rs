//! IP forwarding on the host's uplinks, and its restoration.
//!
//! A host that is a router already (`net.ipv4.ip_forward=1`) is left as it is.
//! On any other, forwarding is turned on for the interfaces of its default
//! routes only, and rules keep those from carrying anything but sandboxes'
//! traffic. What was turned on is written down, and turned off by the last
//! instance to leave, or after a crash by the next start.

use super::rules;
use super::tools::{NetworkError, read, write};
use crate::instance::Instance;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Largest packet where there is no uplink, and at most.
const MTU_MAX: u32 = 1500;

pub(super) struct Forwarding {
    table: String,
    /// Where what was turned on is written down, one name a line.
    record: PathBuf,
    /// Whether the host routes anyway.
    router: bool,
    /// Uplinks dealt with.
    known: BTreeSet<String>,
}

impl Forwarding {
    pub(super) fn new(dir: &Path, table: &str) -> Result<Self, NetworkError> {
        Ok(Self {
            table: table.to_owned(),
            record: dir.join("forwarding"),
            router: read("/proc/sys/net/ipv4/ip_forward")? != "0",
            known: BTreeSet::new(),
        })
    }

    /// Lets packets of sandboxes pass on interfaces that have become uplinks.
    pub(super) fn follow_uplinks(&mut self) -> Result<(), NetworkError> {
        if self.router {
            return Ok(());
        }
        for uplink in uplinks(&read("/proc/net/route")?) {
            if self.known.contains(&uplink) {
                continue;
            }
            let switch = switch(&uplink);
            let on = read(&switch)? != "0";
            // On already without a record of ours: another instance's doing, or
            // the operator's, which is not ours to guard or to undo.
            if !on || Instance::alive().is_ok_and(|alive| alive > 1) {
                rules::guard(&self.table, &uplink)?;
                let mut names = self.recorded().map_err(|e| self.failed(e))?;
                names.insert(uplink.clone());
                let lines: Vec<_> = names.into_iter().collect();
                fs::write(&self.record, lines.join("\n")).map_err(|e| self.failed(e))?;
                write(&switch, "1")?;
            }
            self.known.insert(uplink);
        }
        Ok(())
    }

    /// Turns off what was turned on, unless another instance still needs it.
    pub(super) fn restore(&mut self) -> Result<(), NetworkError> {
        let others = Instance::alive().map_err(|e| self.failed(e))? > 1;
        for uplink in self.recorded().map_err(|e| self.failed(e))? {
            let switch = switch(&uplink);
            if !others && !self.router && Path::new(&switch).exists() {
                write(&switch, "0")?;
            }
        }
        match fs::remove_file(&self.record) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.failed(e)),
            _ => Ok(()),
        }
    }

    /// The smallest uplink's.
    pub(super) fn mtu(&self) -> u32 {
        let uplinks = read("/proc/net/route").map(|routes| uplinks(&routes)).unwrap_or_default();
        uplinks
            .iter()
            .filter_map(|uplink| read(&format!("/sys/class/net/{uplink}/mtu")).ok()?.parse().ok())
            .fold(MTU_MAX, u32::min)
    }

    fn recorded(&self) -> io::Result<BTreeSet<String>> {
        match fs::read_to_string(&self.record) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            other => Ok(other?.lines().map(str::to_owned).collect()),
        }
    }

    fn failed(&self, source: io::Error) -> NetworkError {
        NetworkError::Kernel { path: self.record.clone(), source }
    }
}

fn switch(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/forwarding")
}

/// Interfaces of default routes, from `/proc/net/route`.
fn uplinks(routes: &str) -> BTreeSet<String> {
    routes
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000"))
        .map(|fields| fields[0].to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_default_routes() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(uplinks(routes), BTreeSet::from(["eth0".to_owned()]));
        assert!(uplinks("Iface\tDestination\n").is_empty());
    }
}
