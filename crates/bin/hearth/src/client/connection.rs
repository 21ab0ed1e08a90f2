//! One HTTP/1.1 connection, over TCP or a Unix socket, that is kept alive.

use bytes::Bytes;
use hearth_tasks::spawn_in;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reply may take: the longest function timeout, its init and some.
const REPLY_TIMEOUT: Duration = Duration::from_secs(900 + 120);
/// Largest reply that is read: the largest response of a function, and some.
const REPLY_BYTES_MAX: usize = hearth_types::INVOKE_RESPONSE_BYTES_MAX + 64 * 1024;

/// Nobody answers there, or stopped to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The connection was refused or the name is unknown.
    #[error("no server at {address} (start one with `hearth up`, or name it with --endpoint-url)")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The operator's socket cannot be reached.
    #[error("no server listens on {path} (is `hearth up` running with this --data-dir?)")]
    NoSocket {
        /// The socket.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not answer in time.
    #[error("{0} does not answer")]
    Timeout(String),
    /// The connection broke while in use.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// The reply is longer than any reply may be, or broke off.
    #[error("the reply could not be read")]
    Reply(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// A header as text, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An open connection; requests on it run one after another.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Moves the bytes.
    _driver: JoinSet<()>,
}

impl Connection {
    /// Connects to `host:port`.
    pub(crate) async fn tcp(authority: &str) -> Result<Self, ConnectError> {
        let connect = tokio::net::TcpStream::connect(authority);
        let stream = timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| ConnectError::Timeout(authority.to_owned()))?
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| ConnectError::Unreachable {
                address: authority.to_owned(),
                source,
            })?;
        Self::over(stream).await
    }

    /// Connects to a Unix socket.
    pub(crate) async fn unix(path: &Path) -> Result<Self, ConnectError> {
        let stream = tokio::net::UnixStream::connect(path).await.map_err(|source| {
            ConnectError::NoSocket { path: path.display().to_string(), source }
        })?;
        Self::over(stream).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, ConnectError> {
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(ConnectError::Broken)?;
        let mut driving = JoinSet::new();
        spawn_in(&mut driving, "client connection", async move {
            // Its error reaches the caller through the request that it fails.
            let _ended = driver.await;
        });
        Ok(Self { sender, _driver: driving })
    }

    /// Whether another request can be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads the whole reply.
    pub(crate) async fn send(&mut self, request: Request<Bytes>) -> Result<Reply, ConnectError> {
        let exchange = async {
            self.sender.ready().await.map_err(ConnectError::Broken)?;
            let reply = self.sender.send_request(request.map(Full::new)).await;
            let (head, body) = reply.map_err(ConnectError::Broken)?.into_parts();
            let body =
                Limited::new(body, REPLY_BYTES_MAX).collect().await.map_err(ConnectError::Reply)?;
            Ok(Reply { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        match timeout(REPLY_TIMEOUT, exchange).await {
            Ok(done) => done,
            Err(_) => Err(ConnectError::Timeout("the server".to_owned())),
        }
    }
}
