//! IP forwarding on the host's uplinks, and its restoration.
//!
//! A host that is a router already (`net.ipv4.ip_forward=1`) is left as it is.
//! On any other, forwarding is turned on for the interfaces that it has routes
//! over, and rules keep those from carrying anything but sandboxes' traffic. What
//! was turned on is written down, and turned off by the last instance to leave, or
//! after a crash by the next start.

use super::tools::{NetworkError, read, write};
use super::{INTERFACES, rules};
use crate::instance::Instance;
use crate::traces::Traces;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    pub(super) fn new(traces: &Traces, table: &str) -> Result<Self, NetworkError> {
        Ok(Self {
            table: table.to_owned(),
            record: traces.path("forwarding"),
            router: read("/proc/sys/net/ipv4/ip_forward")? != "0",
            known: BTreeSet::new(),
        })
    }

    /// Uplinks seen so far.
    pub(super) fn uplinks(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(String::as_str)
    }

    /// Lets packets of sandboxes pass on interfaces that have become uplinks.
    pub(super) fn follow(&mut self, routes: &str) -> Result<(), NetworkError> {
        for uplink in uplinks(routes) {
            if self.known.contains(&uplink) {
                continue;
            }
            if self.router {
                self.known.insert(uplink);
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

/// Interfaces of routes that lead off the host, sandboxes' own excepted. `*` is
/// that of a route that refuses.
fn uplinks(routes: &str) -> BTreeSet<String> {
    routes
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !["lo", "*"].contains(name) && !name.starts_with(INTERFACES))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_interfaces_with_routes() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                      *\t0000010A\t00000000\t0200\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                      hth3v0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(uplinks(routes), BTreeSet::from(["eth0".to_owned()]));
        assert!(uplinks("Iface\tDestination\n").is_empty());
    }
}
