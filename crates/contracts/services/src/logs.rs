//! Function logs: appended by workers, read by front ends.

use async_trait::async_trait;
use hearth_types::{AccountId, FunctionName};

/// Most log bytes that one read returns.
pub const LOG_READ_BYTES_MAX: usize = 256 * 1024;

/// A piece of a function's log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogChunk {
    /// Whole lines, lossily decoded.
    pub text: String,
    /// Position to read on from. Opaque; grows.
    pub next: u64,
}

/// The reader's side.
#[async_trait]
pub trait LogReader: Send + Sync {
    /// Lines from position `from` on (0 is the oldest still kept), at most
    /// [`LOG_READ_BYTES_MAX`]. A function that never logged has an empty log.
    async fn read(
        &self,
        account: &AccountId,
        function: &FunctionName,
        from: u64,
    ) -> std::io::Result<LogChunk>;
}
