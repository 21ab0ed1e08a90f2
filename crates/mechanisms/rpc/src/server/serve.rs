//! A server's life: it accepts connections until it is told to stop, then lets what runs
//! come to its end, for a bounded time.

use super::answer::Shared;
use super::connection;
use super::router::Router;
use crate::error::ServeError;
use crate::limits::ACCEPT_PAUSE;
use crate::security::Security;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

impl Router {
    /// Serves these methods on a listener until `stop` is cancelled and calls that run
    /// have ended, or their grace is over. Handlers that run even then are left running:
    /// they may not be cut short, and end with the process.
    pub async fn serve(
        self,
        listener: TcpListener,
        security: Security,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr().map_err(ServeError::Listener)?;
        if security.is_plaintext() && !address.ip().is_loopback() {
            return Err(ServeError::PlaintextElsewhere(address));
        }
        let limits = self.limits;
        let shared = Arc::new(Shared::new(self));
        let mut connections = JoinSet::new();
        loop {
            let has_room = connections.len() < limits.connections_max;
            let (tcp, from) = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&listener), if has_room => accepted,
            };
            let (shared, security, stop) = (shared.clone(), security.clone(), stop.clone());
            let served = connection::serve(shared, security, tcp, from, stop);
            hearth_tasks::spawn_in(&mut connections, "rpc connection", served);
        }
        drop(listener);
        shared.handlers.close();
        let ended = async {
            while connections.join_next().await.is_some() {}
            shared.handlers.wait().await;
        };
        if timeout(limits.grace, ended).await.is_err() {
            let handlers = shared.handlers.len();
            tracing::warn!(%address, handlers, grace = ?limits.grace, "calls outlast the server");
        }
        connections.shutdown().await;
        Ok(())
    }
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if !is_of_that_connection(&error) {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the next one may well be accepted.
fn is_of_that_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
