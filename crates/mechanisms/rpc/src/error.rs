//! What can go wrong with a call, told apart by whether it may have happened.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Why a call has no answer. What the application refuses is an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It never reached the peer's handler: it may be sent to another.
    #[error("{method} was not sent to {address}")]
    NotSent {
        /// What was called.
        method: &'static str,
        /// Where.
        address: Arc<str>,
        /// Why not.
        #[source]
        source: NotSent,
    },
    /// It may have happened, or may still.
    #[error("what became of {method} at {address} is not known")]
    Lost {
        /// What was called.
        method: &'static str,
        /// Where.
        address: Arc<str>,
        /// Why not.
        #[source]
        source: Lost,
    },
    /// It was refused, and did not happen.
    #[error("{address} refused {method}")]
    Refused {
        /// What was called.
        method: &'static str,
        /// Where.
        address: Arc<str>,
        /// Why.
        #[source]
        source: Refusal,
    },
}

/// Why a call was not sent.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// There is no connection, and none could be made.
    #[error("no connection")]
    Connect(#[source] Arc<ConnectError>),
    /// As many as may be are under way already.
    #[error("{max} calls to this peer are under way already")]
    TooManyCalls {
        /// The most that may be.
        max: usize,
    },
    /// Its time was over before there was a connection.
    #[error("its time was over before there was a connection")]
    Deadline,
    /// The connection ended first, and so did the one that was made in its place; or the
    /// stream, where questions are gathered.
    #[error("the connection ended first")]
    ConnectionEnded(#[source] Box<dyn Error + Send + Sync>),
    /// The request cannot be written.
    #[error("the request cannot be written")]
    Unwritable(#[source] Box<dyn Error + Send + Sync>),
}

/// Why it is not known what became of a call.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// No answer came in time.
    #[error("no answer came in time")]
    Deadline,
    /// The connection ended before the answer was there.
    #[error("the connection ended before the answer was there")]
    Broken(#[source] Status),
    /// The peer's handler panicked.
    #[error("its handler panicked")]
    HandlerPanicked,
    /// It was done, but its answer is larger than this method's may be.
    #[error("it was done, but its answer is too large: {0}")]
    AnswerTooLarge(String),
    /// It was done, but its answer cannot be written.
    #[error("it was done, but its answer cannot be written: {0}")]
    AnswerUnwritable(String),
    /// It was done, but its answer makes no sense here.
    #[error("it was done, but its answer makes no sense")]
    Garbled(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The peer has no such method.
    #[error("it does not serve this")]
    NotServed,
    /// The peer serves this to others.
    #[error("this node may not call it: {0}")]
    NotAllowed(String),
    /// As many calls or bytes as may be are under way there.
    #[error("it is over its limit: {0}")]
    OverLimit(String),
    /// The request is larger than this method's may be.
    #[error("the request is too large: {0}")]
    TooLarge(String),
    /// The request makes no sense there.
    #[error("the request makes no sense there: {0}")]
    Garbled(String),
}

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address has no host that is known.
    #[error("the address {address} is not known; it has to be host:port")]
    Resolve {
        /// As it was given.
        address: Arc<str>,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Plaintext is for peers on this host.
    #[error("{0} is not a loopback address, and others are only spoken to with certificates")]
    PlaintextElsewhere(SocketAddr),
    /// Nobody answers there.
    #[error("nobody answers at {0}")]
    Tcp(SocketAddr, #[source] std::io::Error),
    /// The peer's certificate is not of this cluster or this node, or ours is not to it.
    #[error("no secure connection to {0}; are both certificates of this cluster, and valid today?")]
    Tls(SocketAddr, #[source] std::io::Error),
    /// The connection ended before the peer had said anything. Where a server does not
    /// accept a certificate, this is how its client learns.
    #[error("{0} did not greet back; does it accept this node's certificate?")]
    Greeting(SocketAddr, #[source] Box<dyn Error + Send + Sync>),
    /// It took too long.
    #[error("no connection to {address} within {max:?}")]
    Slow {
        /// Where.
        address: Arc<str>,
        /// How long was waited.
        max: Duration,
    },
    /// The task that made it was cut short.
    #[error("connecting was cut short")]
    CutShort,
}

impl ConnectError {
    /// Whether the peer's host lives and said that nobody listens there.
    pub fn is_refused(&self) -> bool {
        let refused = std::io::ErrorKind::ConnectionRefused;
        matches!(self, Self::Tcp(_, error) if error.kind() == refused)
    }
}

/// More peers are talked to than may be.
#[derive(Debug, thiserror::Error)]
#[error("channels to {max} peers are in use already")]
pub struct PoolFull {
    /// The most that may be.
    pub max: usize,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Plaintext is for peers on this host.
    #[error(
        "{0} is not a loopback address: to be reached from other hosts, a node needs certificates"
    )]
    PlaintextElsewhere(SocketAddr),
    /// The listener does not know its own address.
    #[error("the listener has no address")]
    Listener(#[source] std::io::Error),
}
