//! Frames out to the worker: sent at once where possible, queued where not.

use crate::transport::Transport;
use hearth_agent_proto::{FromAgent, encode_message};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The sending half of the stream to the worker.
///
/// What is queued is bounded by its senders: log output waits for an empty
/// queue ([`HostLink::drained`]) and there is one answer at a time, so at most
/// one log frame, one drained pipe and one answer are ever held.
pub(crate) struct HostLink<T> {
    transport: T,
    queue: Mutex<Queue>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    sent: usize,
}

impl Queue {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }
}

impl<T: Transport> HostLink<T> {
    /// A link over `transport`; [`HostLink::flush`] must run beside its users.
    pub(crate) fn new(transport: T) -> Self {
        Self { transport, queue: Mutex::default(), filled: Notify::new(), drained: Notify::new() }
    }

    /// The stream itself, to read from.
    pub(crate) fn transport(&self) -> &T {
        &self.transport
    }

    /// Sends one message.
    pub(crate) fn send_message(&self, message: &FromAgent) {
        let mut frame = Vec::with_capacity(64);
        push_message(message, &mut frame);
        self.send(frame);
    }

    /// Sends whole frames, after all that was sent before. Never waits: what
    /// does not fit now is queued.
    pub(crate) fn send(&self, frames: Vec<u8>) {
        let mut queue = self.lock();
        if !queue.rest().is_empty() {
            queue.bytes.extend_from_slice(&frames);
            return;
        }
        *queue = Queue { bytes: frames, sent: 0 };
        // An error stays queued with its bytes, for `flush` to meet and return.
        if !matches!(self.push(&mut queue), Ok(true)) {
            self.filled.notify_one();
        }
    }

    /// Waits until nothing is queued. For one waiter.
    pub(crate) async fn drained(&self) {
        while !self.lock().rest().is_empty() {
            self.drained.notified().await;
        }
    }

    /// Sends what is queued whenever the stream takes more; ends only with the
    /// stream.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        loop {
            self.filled.notified().await;
            loop {
                self.transport.writable().await?;
                if self.push(&mut self.lock())? {
                    break;
                }
            }
            self.drained.notify_one();
        }
    }

    /// Writes as much as fits; true if that was all.
    fn push(&self, queue: &mut Queue) -> io::Result<bool> {
        while !queue.rest().is_empty() {
            match self.transport.try_write(queue.rest()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => queue.sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        *queue = Queue::default();
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends a message's frame.
pub(crate) fn push_message(message: &FromAgent, out: &mut Vec<u8>) {
    // Only a message over the frame limit fails to encode, and the one text an
    // agent's message carries is cut to `FAILURE_DETAIL_BYTES_MAX`.
    encode_message(message, out).expect("an agent's message fits a frame");
}
