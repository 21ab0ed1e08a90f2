//! The byte stream to one agent: frames out, events in.

use crate::assembler::{AgentEvent, Assembler, Violation};
use hearth_agent_proto::{Decoder, ProtocolError};
use hearth_vmm::AgentStream;
use std::io;
use tokio::net::UnixStream;

/// Reads that a drain may take: more than socket and port can hold.
const DRAIN_READS_MAX: usize = 128;

/// The stream is of no further use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// The VMM is gone.
    #[error("the microVM ended")]
    Closed,
    /// The stream was closed before it took a single byte: the guest knows
    /// nothing of what was to be sent.
    #[error("the microVM had ended")]
    NotSent(#[source] io::Error),
    /// Reading or writing failed.
    #[error("the stream to the agent failed")]
    Io(#[source] io::Error),
    /// The guest broke the framing.
    #[error("the guest broke the protocol's framing")]
    Protocol(#[from] ProtocolError),
    /// The guest broke the order of messages.
    #[error("the guest broke the protocol")]
    Violation(#[from] Violation),
}

/// The host's end of the stream.
#[derive(Debug)]
pub(crate) struct AgentChannel {
    stream: AgentStream,
    decoder: Decoder,
    assembler: Assembler,
}

impl AgentChannel {
    /// Takes over a connected stream.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        let stream = AgentStream::new(stream)?;
        Ok(Self { stream, decoder: Decoder::new(), assembler: Assembler::default() })
    }

    /// The next event. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<AgentEvent, ChannelError> {
        loop {
            if let Some(event) = self.buffered()? {
                return Ok(event);
            }
            if self.stream.read(self.decoder.buffer()).await.map_err(ChannelError::Io)? == 0 {
                return Err(ChannelError::Closed);
            }
        }
    }

    /// Takes what has arrived already into `on_event`, without waiting for more.
    /// A guest that sends faster than it can be read is a violation: nothing
    /// else would end this.
    pub(crate) fn drain(
        &mut self,
        mut on_event: impl FnMut(AgentEvent),
    ) -> Result<(), ChannelError> {
        for _ in 0..DRAIN_READS_MAX {
            while let Some(event) = self.buffered()? {
                on_event(event);
            }
            match self.stream.try_read(self.decoder.buffer()) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(ChannelError::Io(e)),
            }
        }
        Err(Violation::Flood.into())
    }

    /// Sends as many of `bytes` as the socket takes at once, and says how many.
    pub(crate) fn send_at_once(&self, bytes: &[u8]) -> Result<usize, ChannelError> {
        match self.stream.try_write(bytes) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent.map_err(ChannelError::NotSent),
        }
    }

    /// Sends `unsent` and meanwhile takes events into `on_event`, until it
    /// returns a value. A guest that talks while it should listen cannot make
    /// the two ends wait for each other.
    pub(crate) async fn exchange<T>(
        &mut self,
        mut unsent: &[u8],
        mut on_event: impl FnMut(AgentEvent) -> Option<T>,
    ) -> Result<T, ChannelError> {
        loop {
            while let Some(event) = self.buffered()? {
                if let Some(done) = on_event(event) {
                    return Ok(done);
                }
            }
            let buffer = self.decoder.buffer();
            tokio::select! {
                biased;
                sent = self.stream.write(unsent), if !unsent.is_empty() => {
                    unsent = &unsent[sent.map_err(ChannelError::Io)?..];
                }
                read = self.stream.read(buffer) => {
                    if read.map_err(ChannelError::Io)? == 0 {
                        return Err(ChannelError::Closed);
                    }
                }
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<AgentEvent>, ChannelError> {
        while let Some(frame) = self.decoder.next_frame()? {
            if let Some(event) = self.assembler.feed(frame)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_agent_proto::{FromAgent, encode_message};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_guest_that_talks_while_it_should_listen_blocks_nobody() {
        let (host, mut guest) = UnixStream::pair().unwrap();
        let payload = vec![7u8; 4 << 20];
        let sent = payload.clone();
        let guest = tokio::spawn(async move {
            // More than any socket buffer, before it reads a single byte.
            let mut wire = Vec::new();
            for _ in 0..64 {
                encode_message(&FromAgent::Log { bytes: 60_000 }, &mut wire).unwrap();
                hearth_agent_proto::encode_bulk(&[b'x'; 60_000], &mut wire);
            }
            guest.write_all(&wire).await.unwrap();
            let mut got = vec![0; sent.len()];
            guest.read_exact(&mut got).await.unwrap();
            assert_eq!(got, sent);
            wire.clear();
            encode_message(&FromAgent::ResultEnd { run_us: 1, memory_peak_bytes: 2 }, &mut wire)
                .unwrap();
            guest.write_all(&wire).await.unwrap();
        });
        let mut logged = 0;
        let end = AgentChannel::new(host)
            .unwrap()
            .exchange(&payload, |event| match event {
                AgentEvent::Log(bytes) => {
                    logged += bytes.len();
                    None
                }
                other => Some(other),
            })
            .await
            .unwrap();
        assert_eq!(end, AgentEvent::ResultEnd { run_us: 1, memory_peak_bytes: 2 });
        assert_eq!(logged, 64 * 60_000);
        guest.await.unwrap();
    }

    #[tokio::test]
    async fn what_a_dead_guest_never_got_may_be_sent_to_another() {
        let (host, guest) = UnixStream::pair().unwrap();
        let channel = AgentChannel::new(host).unwrap();
        drop(guest);
        let sent = channel.send_at_once(b"event");
        assert!(matches!(sent, Err(ChannelError::NotSent(_))), "{sent:?}");
    }

    #[tokio::test]
    async fn a_closed_stream_is_told_from_an_idle_one() {
        let (host, guest) = UnixStream::pair().unwrap();
        let mut channel = AgentChannel::new(host).unwrap();
        assert!(channel.drain(|_| panic!("nothing was sent")).is_ok());
        drop(guest);
        assert!(matches!(channel.next().await, Err(ChannelError::Closed)));
    }
}
