//! Where a server runs: on this machine's loopback, or on a host of its own.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

/// A place. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    address: Ipv4Addr,
    /// The network namespace of a host of its own.
    namespace: Option<Arc<File>>,
}

impl Place {
    /// This machine's loopback, where others have ports too.
    pub fn loopback() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, namespace: None }
    }

    pub(crate) fn host(address: Ipv4Addr, namespace: File) -> Self {
        Self { address, namespace: Some(Arc::new(namespace)) }
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether it has all ports to itself.
    pub fn is_host(&self) -> bool {
        self.namespace.is_some()
    }

    /// That port on a host of its own, else one that is free when asked for.
    pub fn socket(&self, port: u16) -> SocketAddr {
        match self.is_host() {
            true => (self.address, port).into(),
            false => TcpListener::bind((self.address, 0)).unwrap().local_addr().unwrap(),
        }
    }

    /// Does it there: processes that it starts, and sockets that it opens, are there.
    pub fn within<T: Send>(&self, start: impl FnOnce() -> T + Send) -> T {
        let Some(namespace) = &self.namespace else { return start() };
        // A namespace is a thread's, and this one ends with it.
        let there = || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("the host's namespace");
            start()
        };
        std::thread::scope(|scope| scope.spawn(there).join().expect("it does not panic"))
    }
}
