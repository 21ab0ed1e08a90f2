//! The line: the Runtime API over two pipes, for runtimes whose bootstrap is ours.
//!
//! Whatever a clone runs before its first answer it runs for the first time, which
//! an emulated processor makes it pay for. HTTP and TCP are most of that code, and
//! nothing of them is needed between two processes that know each other.
//!
//! ```text
//! the runtime says            and is told
//! environment\n               BYTES\nJSON              its function's, once there is one
//! restore\n                   0\n                      once this is a clone
//! next\n                      BYTES CONTEXT_BYTES ID DEADLINE_MS ARN TRACE\n CONTEXT EVENT
//! response ID BYTES\nBODY     nothing
//! error ID BYTES\nBODY        nothing
//! ```
//!
//! A runtime that says anything else, or at another time, loses its line: it finds
//! its pipes closed, and ends.

use super::body::ReadBody;
use super::state::Refusal;
use super::{Event, RuntimeApi};
use crate::process::LineEnds;
use crate::transport::Transport;
use crate::watched;
use hearth_agent_proto::encode_bulk;
use hearth_types::INVOKE_RESPONSE_BYTES_MAX;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// What the runtime says besides bodies: the longest is an answer's head.
const HEAD_BYTES_MAX: usize = 256;
/// What is read at once: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// Our ends of it.
pub(crate) struct Line {
    to_runtime: AsyncFd<OwnedFd>,
    from_runtime: AsyncFd<OwnedFd>,
    /// What was read and not used yet.
    read: Vec<u8>,
}

/// A line ends: with the runtime, for nonsense, or for what was said out of turn. The
/// runtime is told by closed pipes, and the worker by the runtime's end.
struct Hangup;

impl From<io::Error> for Hangup {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl From<Refusal> for Hangup {
    fn from(_: Refusal) -> Self {
        Self
    }
}

/// Answers a runtime for as long as it makes sense.
pub(crate) async fn serve_line<T: Transport>(api: Arc<RuntimeApi<T>>, mut line: Line) {
    while line.answer(&api).await.is_ok() {}
}

impl Line {
    /// A line by its ends.
    pub(crate) fn new(ends: LineEnds) -> io::Result<Self> {
        let to_runtime = watched::watch_writes(ends.to_runtime)?;
        let from_runtime = watched::watch_reads(ends.from_runtime)?;
        Ok(Self { to_runtime, from_runtime, read: Vec::new() })
    }

    async fn answer<T: Transport>(&mut self, api: &RuntimeApi<T>) -> Result<(), Hangup> {
        let head = self.head().await?;
        let mut words = head.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("next"), None, ..) => {
                let event = api.next_event().await?;
                self.write(&event_message(event)).await?;
            }
            (Some(kind @ ("response" | "error")), Some(id), Some(bytes), None) => {
                let bytes = bytes.parse().map_err(|_| Hangup)?;
                let sending = api.begin_answer(id, kind == "error")?;
                sending.end(self.body(bytes).await?);
            }
            (Some("environment"), None, ..) => {
                let json = api.function_environment().await?;
                let message = [format!("{}\n", json.len()).as_bytes(), &json].concat();
                self.write(&message).await?;
            }
            (Some("restore"), None, ..) => {
                api.until_clone().await?;
                self.write(b"0\n").await?;
            }
            _ => return Err(Hangup),
        }
        Ok(())
    }

    /// The next line of text.
    async fn head(&mut self) -> Result<String, Hangup> {
        loop {
            let searched = &self.read[..self.read.len().min(HEAD_BYTES_MAX)];
            if let Some(end) = searched.iter().position(|&byte| byte == b'\n') {
                let head = std::str::from_utf8(&searched[..end]).map(ToOwned::to_owned);
                self.read.drain(..=end);
                return head.map_err(|_| Hangup);
            }
            if self.read.len() >= HEAD_BYTES_MAX {
                return Err(Hangup);
            }
            self.fill().await?;
        }
    }

    /// A body, in frames; one that is too large is read and dropped.
    async fn body(&mut self, bytes: u64) -> Result<ReadBody, Hangup> {
        let (mut left, mut frames) = (bytes, Vec::new());
        while left > 0 {
            if self.read.is_empty() {
                self.fill().await?;
            }
            let take = self.read.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if bytes <= INVOKE_RESPONSE_BYTES_MAX as u64 {
                encode_bulk(&self.read[..take], &mut frames);
            }
            self.read.drain(..take);
            left -= take as u64;
        }
        Ok(if bytes <= INVOKE_RESPONSE_BYTES_MAX as u64 {
            ReadBody::Whole { frames, bytes: bytes as u32, failed: None }
        } else {
            ReadBody::TooLarge { bytes }
        })
    }

    /// Reads more; an end is an error.
    async fn fill(&mut self) -> io::Result<()> {
        self.read.reserve(READ_BYTES);
        loop {
            match rustix::io::read(self.from_runtime.get_ref(), spare_capacity(&mut self.read)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => self.from_runtime.readable().await?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            match rustix::io::write(self.to_runtime.get_ref(), bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::AGAIN) => self.to_runtime.writable().await?.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }
}

/// An event as it is put to the runtime.
fn event_message(event: Event) -> Vec<u8> {
    let Event { head, payload, deadline_unix_ms, .. } = event;
    let context = head.client_context.unwrap_or_default();
    // It ends the line, and came from outside.
    let trace: String = head.trace_id.chars().filter(|c| !c.is_control()).collect();
    let (bytes, context_bytes) = (payload.len(), context.len());
    let (id, arn) = (head.request_id, head.invoked_arn);
    let line = format!("{bytes} {context_bytes} {id} {deadline_unix_ms} {arn} {trace}\n");
    [line.as_bytes(), context.as_bytes(), &payload].concat()
}
