//! A connection to a peer that has greeted, and its end.

use crate::peer::Peer;
use hyper::client::conn::http2::SendRequest;
use std::fmt;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

/// One connection. Dropping the last of its users closes it.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    /// Moves its bytes; ends with it.
    driver: JoinHandle<()>,
    ended: CancellationToken,
    peer: Peer,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<Body>,
        driver: JoinHandle<()>,
        ended: CancellationToken,
        peer: Peer,
    ) -> Self {
        Self { sender, driver, ended, peer }
    }

    /// Sends on it.
    pub(super) fn sender(&self) -> SendRequest<Body> {
        self.sender.clone()
    }

    /// Whether no call can be sent on it any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_cancelled() || self.sender.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A connection to a peer, to learn of its end. It stays open while this is held.
#[derive(Clone, Debug)]
pub struct Link(pub(super) Arc<Connection>);

impl Link {
    /// Returns once the connection has ended: at once where the peer's process died or
    /// it said that it stops, within about two seconds where it froze or was cut off.
    /// Cancel-safe.
    pub async fn closed(&self) {
        self.0.ended.cancelled().await;
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.0.is_over()
    }

    /// Who the peer is, by its certificate.
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// Whether both are one connection: nothing happened to the peer between them.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
