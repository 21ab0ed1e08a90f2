//! Function logs: appended by workers, read by front ends.
//!
//! A worker keeps a log for each function that ran there ([`LogReader`]). A front end reads
//! them all as one ([`Logs`]).

use async_trait::async_trait;
use hearth_types::{AccountId, FunctionName};
use std::io;
use std::sync::Arc;

/// Most log bytes that one read returns.
pub const LOG_READ_BYTES_MAX: usize = 256 * 1024;

/// A piece of one worker's log of a function.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogChunk {
    /// Whole lines, lossily decoded.
    pub text: String,
    /// Position to read on from. It grows.
    pub next: u64,
}

/// One worker's logs.
#[async_trait]
pub trait LogReader: Send + Sync {
    /// Lines from position `from` on (0 is the oldest still kept), at most
    /// [`LOG_READ_BYTES_MAX`]. A function that never logged has an empty log.
    async fn read(
        &self,
        account: &AccountId,
        function: &FunctionName,
        from: u64,
    ) -> io::Result<LogChunk>;
}

/// A piece of a function's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogPage {
    /// Whole lines, lossily decoded: those of each worker in order.
    pub text: String,
    /// Where to read on from; the same as before if there is no more. Opaque.
    pub next: String,
    /// Workers that did not answer. What they have is missing, and comes once they do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
}

/// A log was not read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No page has said so.
    #[error("from must be what a page of the log said to read on from")]
    Position,
    /// The log failed.
    #[error("a log cannot be read")]
    Read(#[from] io::Error),
}

/// All workers' logs.
#[async_trait]
pub trait Logs: Send + Sync {
    /// Lines from `from` on, which a page told, or nothing for the oldest still kept; at most
    /// [`LOG_READ_BYTES_MAX`]. A function that never logged has an empty log.
    async fn page(
        &self,
        account: &AccountId,
        function: &FunctionName,
        from: &str,
    ) -> Result<LogPage, LogError>;
}

/// The logs of the one worker that there is.
pub struct OnlyLogs(pub Arc<dyn LogReader>);

#[async_trait]
impl Logs for OnlyLogs {
    async fn page(
        &self,
        account: &AccountId,
        function: &FunctionName,
        from: &str,
    ) -> Result<LogPage, LogError> {
        let from = match from {
            "" => 0,
            from => from.parse().map_err(|_| LogError::Position)?,
        };
        let LogChunk { text, next } = self.0.read(account, function, from).await?;
        Ok(LogPage { text, next: next.to_string(), unreachable: vec![] })
    }
}
