//! IP forwarding on the host's uplinks, and its restoration.
//!
//! A host that is a router already (`net.ipv4.ip_forward=1`) is left as it is.
//! On any other, forwarding is turned on for the interfaces that it has routes
//! over, and rules keep those from carrying anything but sandboxes' traffic. What
//! was turned on is written down, and turned off by the last instance to leave, or
//! after a crash by the next start.

use super::routes::Route;
use super::rules;
use super::tools::{NetworkError, read, write};
use crate::instance::Instance;
use crate::traces::{Record, Traces};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

pub(super) struct Forwarding {
    table: String,
    /// Where what was turned on is written down, one name a line.
    record: Record,
    /// Whether the host routes anyway.
    router: bool,
    /// Uplinks dealt with.
    known: BTreeSet<String>,
}

impl Forwarding {
    pub(super) fn new(traces: &Traces, table: &str) -> Result<Self, NetworkError> {
        Ok(Self {
            table: table.to_owned(),
            record: traces.forwarding(),
            router: read("/proc/sys/net/ipv4/ip_forward")? != "0",
            known: BTreeSet::new(),
        })
    }

    /// Uplinks seen so far.
    pub(super) fn uplinks(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(String::as_str)
    }

    /// Lets packets of sandboxes pass on interfaces that have become uplinks. One
    /// that went and came back is a new one.
    pub(super) fn follow(&mut self, routes: &[Route]) -> Result<(), NetworkError> {
        let uplinks: BTreeSet<String> = routes.iter().filter_map(|r| r.interface.clone()).collect();
        self.known.retain(|uplink| uplinks.contains(uplink));
        for uplink in uplinks {
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
                let mut names = self.record.lines().map_err(|e| self.failed(e))?;
                if !names.contains(&uplink) {
                    names.push(uplink.clone());
                    self.record.write(&names).map_err(|e| self.failed(e))?;
                }
                write(&switch, "1")?;
            }
            self.known.insert(uplink);
        }
        Ok(())
    }

    /// Turns off what was turned on, unless another instance still needs it.
    pub(super) fn restore(&mut self) -> Result<(), NetworkError> {
        let others = Instance::alive().map_err(|e| self.failed(e))? > 1;
        for uplink in self.record.lines().map_err(|e| self.failed(e))? {
            let switch = switch(&uplink);
            if !others && !self.router && Path::new(&switch).exists() {
                write(&switch, "0")?;
            }
        }
        self.record.remove().map_err(|e| self.failed(e))
    }

    fn failed(&self, source: io::Error) -> NetworkError {
        NetworkError::Kernel { path: self.record.path().to_owned(), source }
    }
}

fn switch(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/forwarding")
}
