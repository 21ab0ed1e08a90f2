//! What an operator may set, and the bounds that nobody may.

use std::time::Duration;

/// Settings of a front end.
#[derive(Clone, Debug)]
pub struct FrontendOptions {
    /// Connections served at once; for one more, the one that has been idle
    /// longest is closed. If none is idle, it waits.
    pub connections_max: usize,
    /// Calls running at once, clients gone or not; more are throttled.
    pub calls_max: usize,
    /// How long a client may take to send a request's head; also how long an
    /// idle connection is kept.
    pub header_timeout: Duration,
    /// How long a client may take to send a small body; a large one gets a
    /// second more for every 64 KiB that have come.
    pub body_timeout: Duration,
    /// How long a client may stall while it sends a body or takes a response.
    pub stall_timeout: Duration,
    /// Memory for payloads above 64 KiB: half of it for what is not verified
    /// yet, half for what is. An account gets as much of a half as it leaves
    /// free, and is throttled above that.
    pub payload_bytes_max: usize,
    /// How long shutdown waits for running calls.
    pub shutdown_grace: Duration,
}

impl FrontendOptions {
    /// The largest body that gets through: of a half, an account that is alone gets half.
    pub fn body_bytes_max(&self) -> usize {
        self.payload_bytes_max / 4
    }
}

impl Default for FrontendOptions {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            calls_max: 4096,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(10),
            payload_bytes_max: 512 * 1024 * 1024,
            shutdown_grace: Duration::from_secs(30),
        }
    }
}

/// Largest request head: an ARN, a signature and a client context fit ten times.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers of one request.
pub(crate) const HEADERS_MAX: usize = 100;
/// Payloads up to this size are not counted: the bound on connections bounds them.
pub(crate) const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Slowest upload that is put up with, once `body_timeout` is over.
pub(crate) const BODY_BYTES_PER_S_MIN: usize = 64 * 1024;
/// Entries that each cache keeps.
pub(crate) const CACHE_ENTRIES_MAX: usize = 10_000;
/// New sandboxes tried for one event, when one after another turns out to be gone.
pub(crate) const INVOKE_ATTEMPTS_MAX: usize = 3;
/// How long a link to a function's code is good for, in seconds; as AWS's.
pub(crate) const CODE_LINK_EXPIRES_S: i64 = 600;
