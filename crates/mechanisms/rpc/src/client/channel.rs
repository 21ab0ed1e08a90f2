//! The way to one peer: at most one connection, made by whoever needs it first and
//! shared by all.

use super::connection::{Connection, Link};
use super::dial::Target;
use crate::error::ConnectError;
use crate::limits::CHANNEL_CALLS_MAX;
use crate::security::Security;
use hearth_types::NodeName;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// The way to one peer. Cheap to clone; connects on first use, and again after a
/// connection ended. The connection closes with the last clone.
#[derive(Clone, Debug)]
pub struct Channel {
    inner: Arc<Inner>,
}

/// What came of an attempt to connect; nothing yet while it is made.
type Attempt = Option<Result<Arc<Connection>, Arc<ConnectError>>>;

#[derive(Debug)]
struct Inner {
    target: Arc<Target>,
    /// The latest attempt.
    latest: Mutex<watch::Receiver<Attempt>>,
    calls: Arc<Semaphore>,
}

impl Channel {
    /// The way to `host:port`; to a certain node there, if one is named. Connects to
    /// nobody yet.
    pub fn new(address: &str, node: Option<NodeName>, security: Security) -> Self {
        let target = Arc::new(Target { address: address.into(), node, security });
        // As if an attempt had been given up.
        let latest = Mutex::new(watch::channel(None).1);
        let calls = Arc::new(Semaphore::new(CHANNEL_CALLS_MAX));
        Self { inner: Arc::new(Inner { target, latest, calls }) }
    }

    /// Where it leads.
    pub fn address(&self) -> &str {
        &self.inner.target.address
    }

    /// The connection to the peer, to learn of its end; made if there is none. Takes at
    /// most about three seconds. Cancel-safe.
    pub async fn connect(&self) -> Result<Link, Arc<ConnectError>> {
        self.connection().await.map(Link)
    }

    /// Returns once the peer is gone: the connection to it ended, or none could be made.
    /// See [`Link::closed`]. Cancel-safe.
    pub async fn closed(&self) {
        if let Ok(link) = self.connect().await {
            link.closed().await;
        }
    }

    pub(super) fn shared_address(&self) -> Arc<str> {
        self.inner.target.address.clone()
    }

    /// Room for calls.
    pub(super) fn calls(&self) -> &Arc<Semaphore> {
        &self.inner.calls
    }

    /// Whether nobody else holds this.
    pub(super) fn is_sole(&self) -> bool {
        Arc::strong_count(&self.inner) == 1
    }

    /// The connection; made if there is none.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, Arc<ConnectError>> {
        let mut attempt = self.connecting();
        match attempt.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("it was waited for"),
            // Its task ended without an outcome.
            Err(_) => Err(Arc::new(ConnectError::CutShort)),
        }
    }

    /// The attempt that is under way or was successful, else a new one. It is made in a
    /// task of its own: whoever asked first may go away, others wait for it too.
    fn connecting(&self) -> watch::Receiver<Attempt> {
        let mut latest = self.inner.latest.lock();
        let is_of_use = match &*latest.borrow() {
            Some(Ok(connection)) => !connection.is_over(),
            Some(Err(_)) => false,
            None => latest.has_changed().is_ok(),
        };
        if !is_of_use {
            let (outcome, waiting) = watch::channel(None);
            *latest = waiting;
            let target = self.inner.target.clone();
            // Bounded in time, and nobody's once it is over.
            drop(hearth_tasks::spawn("rpc connect", async move {
                let connected = target.dial().await.map(Arc::new).map_err(Arc::new);
                outcome.send_replace(Some(connected));
            }));
        }
        latest.clone()
    }
}
