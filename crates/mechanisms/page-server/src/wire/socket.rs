//! Frames over a socket, and descriptors with them.

use super::FRAME_BYTES_MAX;
use bytes::{Buf, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

const LENGTH_BYTES: usize = size_of::<u32>();
/// Bytes taken from the socket at once.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Descriptors taken from the socket at once; each order has one at most.
const READ_DESCRIPTORS_MAX: usize = 8;
/// Descriptors whose order has not come yet: they come with its first bytes.
const DESCRIPTORS_MAX: usize = 64;

/// Sends frames; a send that was cut short leaves half a frame, and no more may
/// follow.
pub(crate) struct Sender(OwnedWriteHalf);

/// Receives frames; not cancel-safe.
pub(crate) struct Receiver {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    descriptors: VecDeque<OwnedFd>,
}

impl Sender {
    pub(crate) fn new(socket: OwnedWriteHalf) -> Self {
        Self(socket)
    }

    pub(crate) async fn send<T: Serialize>(
        &mut self,
        number: u64,
        what: &T,
        fd: Option<OwnedFd>,
    ) -> io::Result<()> {
        let frame = frame(number, what)?;
        let sent = match fd {
            Some(fd) => send_with(self.0.as_ref(), &frame, &fd).await?,
            None => 0,
        };
        self.0.write_all(&frame[sent..]).await
    }
}

/// Sends a descriptor with as many of the bytes as can be; how many that were.
async fn send_with(socket: &UnixStream, bytes: &[u8], fd: &OwnedFd) -> io::Result<usize> {
    let fds = [fd.as_fd()];
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        if !with.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("no room for a descriptor"));
        }
        Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut with, SendFlags::NOSIGNAL)?)
    };
    socket.async_io(Interest::WRITABLE, send).await
}

/// The bytes of a frame; an error if it is too long.
fn frame<T: Serialize>(number: u64, what: &T) -> io::Result<Vec<u8>> {
    let start = vec![0; LENGTH_BYTES];
    let mut frame = postcard::to_extend(&(number, what), start).map_err(io::Error::other)?;
    let len = frame.len() - LENGTH_BYTES;
    if len > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long"));
    }
    frame[..LENGTH_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
    Ok(frame)
}

impl Receiver {
    pub(crate) fn new(socket: OwnedReadHalf) -> Self {
        Self { socket, buffer: BytesMut::new(), descriptors: VecDeque::new() }
    }

    /// The next frame; none if the other side is gone.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(u64, T)>> {
        let wrong = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
        loop {
            if let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() {
                let len = u32::from_le_bytes(*length) as usize;
                if len > FRAME_BYTES_MAX {
                    return Err(wrong("a frame is too long"));
                }
                if self.buffer.len() >= LENGTH_BYTES + len {
                    self.buffer.advance(LENGTH_BYTES);
                    let frame = self.buffer.split_to(len);
                    let parsed = postcard::from_bytes(&frame).map_err(|_| wrong("not a frame"))?;
                    return Ok(Some(parsed));
                }
            }
            let got = match self.read().await {
                // It closed its end before it had read all of ours.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                got => got?,
            };
            if got == 0 {
                return match self.buffer.len() {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// The descriptor that came with the frame just received.
    pub(crate) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    async fn read(&mut self) -> io::Result<usize> {
        let start = self.buffer.len();
        self.buffer.resize(start + READ_BYTES_MAX, 0);
        let (buffer, descriptors) = (&mut self.buffer[start..], &mut self.descriptors);
        let socket: &UnixStream = self.socket.as_ref();
        let receive = || {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(READ_DESCRIPTORS_MAX))];
            let mut with = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(buffer)];
            let got = recvmsg(socket, &mut into, &mut with, RecvFlags::CMSG_CLOEXEC)?;
            for message in with.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    descriptors.extend(fds);
                }
            }
            Ok(got.bytes)
        };
        let got = socket.async_io(Interest::READABLE, receive).await;
        self.buffer.truncate(start + got.as_ref().copied().unwrap_or_default());
        if self.descriptors.len() > DESCRIPTORS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors"));
        }
        got
    }
}
