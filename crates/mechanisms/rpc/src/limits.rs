//! What bounds calls and connections, and why each bound is what it is.

use std::time::Duration;

/// The largest message of a method that names no other bound: enough for any order or
/// report between roles.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The largest message that any method may have: code that is uploaded, with room.
pub const METHOD_BYTES_MAX: usize = 128 << 20;
/// Calls that one server works on: each sandbox of a large host runs one, and every one
/// may be waited for by another.
pub const SERVER_CALLS_MAX: usize = 16_384;
/// Bytes of requests that one server holds: several uploads of code, or as many invokes
/// as a host has memory for.
pub const SERVER_REQUEST_BYTES_MAX: usize = 512 << 20;
/// Connections to one server: all front ends and leaders of a large cluster.
pub const SERVER_CONNECTIONS_MAX: usize = 4096;
/// How long calls that run may go on once a server was told to stop.
pub const SERVER_GRACE: Duration = Duration::from_secs(30);
/// Calls under way by one channel: what one front end has running on one worker.
pub const CHANNEL_CALLS_MAX: usize = 4096;
/// Peers that one process talks to: all workers of a large cluster.
pub const CHANNELS_MAX: usize = 16_384;

/// Questions that go out in one batch, where they are gathered: enough that what a batch costs
/// by itself no longer counts.
pub const GATHERED_MAX: usize = 256;
/// Such batches under way to one peer: the next is packed while one is on its way.
pub(crate) const GATHERED_AT_ONCE_MAX: usize = 2;
/// Streams of gathered questions that one connection may have open: one for each such method,
/// with room.
pub(crate) const STREAMS_MAX: usize = 4;
/// How long a stream stays open on which nobody asks: it holds room for a batch. To open
/// another takes one more answer.
pub(crate) const STREAM_IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a server that stops still reads a stream whose client goes on: one that lives
/// ends it as soon as it hears of that. Who does not read its answers does not hear of it, and
/// may take as long as any call.
pub(crate) const STREAM_ENDS_MAX: Duration = Duration::from_secs(1);

/// How long making a TCP connection may take. Nodes are near each other.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long TLS and the first answer may take after it: a busy host signs slowly.
pub(crate) const GREETING_MAX: Duration = Duration::from_secs(2);
/// How often a client asks a silent server whether it lives.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long the answer may take: with the interval, a peer that froze is known to have
/// after two seconds.
pub(crate) const PING_MAX: Duration = Duration::from_secs(1);
/// The same of a server, which only clears away what a dead client left.
pub(crate) const SERVER_PING_INTERVAL: Duration = Duration::from_secs(10);
/// See [`SERVER_PING_INTERVAL`].
pub(crate) const SERVER_PING_MAX: Duration = Duration::from_secs(10);
/// How long TLS may take on a server: strangers get no further, and wait no longer.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
/// How long a request may take to arrive: the largest over a slow network.
pub(crate) const REQUEST_ARRIVES_MAX: Duration = Duration::from_secs(60);
/// What a peer may send of one message before it is asked for more. Large enough for a
/// fast network's delay, small enough that a stalled handler holds little.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// The same of all messages on a connection.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Headers of a call: ours are a few short ones.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 << 10;
/// The pause after accepting failed: the process has no descriptors left, say.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What bounds one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Calls that it works on; one more is refused.
    pub calls_max: usize,
    /// Bytes of requests that it holds; a request over that is refused.
    pub request_bytes_max: usize,
    /// Connections to it; one more is not accepted until another ends.
    pub connections_max: usize,
    /// How long calls that run may go on once it was told to stop.
    pub grace: Duration,
    /// How long a stream of gathered questions stays open on which nobody asks.
    pub stream_idle: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            calls_max: SERVER_CALLS_MAX,
            request_bytes_max: SERVER_REQUEST_BYTES_MAX,
            connections_max: SERVER_CONNECTIONS_MAX,
            grace: SERVER_GRACE,
            stream_idle: STREAM_IDLE_MAX,
        }
    }
}
