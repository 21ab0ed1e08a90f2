//! Making a connection: address, TCP, TLS, HTTP/2, and a greeting that proves that the
//! peer accepts this node.

use super::connection::Connection;
use super::send::{Failure, send};
use crate::codec::{pack, unpack};
use crate::error::ConnectError;
use crate::hello::{HELLO, Hello, PROTOCOL};
use crate::limits::{
    CONNECT_MAX, CONNECTION_WINDOW_BYTES, GREETING_MAX, HEADER_BYTES_MAX, PING_INTERVAL, PING_MAX,
    STREAM_WINDOW_BYTES,
};
use crate::security::Security;
use hearth_types::NodeName;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Where to, and how.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: Arc<str>,
    pub(super) node: Option<NodeName>,
    pub(super) security: Security,
}

impl Target {
    /// Makes a connection.
    pub(super) async fn dial(&self) -> Result<Connection, ConnectError> {
        let (tcp, at) = self.within(CONNECT_MAX, self.tcp()).await?;
        self.within(GREETING_MAX, self.greet(tcp, at)).await
    }

    async fn within<T>(
        &self,
        max: std::time::Duration,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let slow = || ConnectError::Slow { address: self.address.clone(), max };
        timeout(max, step).await.unwrap_or_else(|_| Err(slow()))
    }

    /// A TCP connection to the first of the address's hosts that takes one.
    async fn tcp(&self) -> Result<(TcpStream, SocketAddr), ConnectError> {
        let unknown = |source| ConnectError::Resolve { address: self.address.clone(), source };
        let hosts: Vec<_> = lookup_host(&*self.address).await.map_err(unknown)?.collect();
        let mut failed = unknown(io::ErrorKind::NotFound.into());
        for at in hosts {
            if self.security.is_plaintext() && !at.ip().is_loopback() {
                return Err(ConnectError::PlaintextElsewhere(at));
            }
            match TcpStream::connect(at).await {
                Ok(tcp) => return Ok((tcp, at)),
                Err(error) => failed = ConnectError::Tcp(at, error),
            }
        }
        Err(failed)
    }

    async fn greet(&self, tcp: TcpStream, at: SocketAddr) -> Result<Connection, ConnectError> {
        // Small messages go at once; that this fails says that the connection is gone.
        let _ = tcp.set_nodelay(true);
        let secured = self.security.connect(tcp, self.node.as_ref()).await;
        let (stream, peer) = secured.map_err(|error| ConnectError::Tls(at, error))?;
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_MAX)
            // The death of a peer is waited for while nothing is asked of it.
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await;
        let no_greeting = |error| ConnectError::Greeting(at, error);
        let (sender, driver) = handshake.map_err(|error| no_greeting(error.into()))?;
        let ended = CancellationToken::new();
        let ends = ended.clone().drop_guard();
        let driver = hearth_tasks::spawn("rpc channel", async move {
            let _ends = ends;
            if let Err(error) = driver.await {
                tracing::debug!(%at, %error, "a connection to a peer broke");
            }
        });
        let connection = Connection::new(sender, driver, ended, peer);
        hello(&connection).await.map_err(no_greeting)?;
        Ok(connection)
    }
}

/// Greets, and checks that the greeting is returned.
async fn hello(connection: &Connection) -> Result<(), Box<dyn Error + Send + Sync>> {
    let packed = pack(&Hello { protocol: PROTOCOL }, HELLO.request_max())?;
    let answer = send(connection.sender(), &HELLO, packed).await;
    let answer = answer.map_err(|(Failure::Never(status) | Failure::Status(status))| status)?;
    let Hello { protocol } = unpack(&answer)?;
    if protocol != PROTOCOL {
        return Err(format!("it speaks version {protocol} of the protocol, this {PROTOCOL}").into());
    }
    Ok(())
}
