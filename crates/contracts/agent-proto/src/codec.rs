//! Frames to bytes and back.

use crate::{FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES};
use bytes::{Buf, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

const KIND_BULK: u8 = 0;
const KIND_MESSAGE: u8 = 1;

/// One decoded frame; `M` is the message type of the sending side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<M> {
    /// Bytes that belong to the message before them.
    Bulk(Bytes),
    /// A message.
    Message(M),
}

/// The peer broke the protocol; the stream is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A frame announces more than [`FRAME_BODY_BYTES_MAX`].
    #[error("a frame of {0} bytes is too long")]
    FrameTooLong(u32),
    /// There is no such kind of frame.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// A message does not decode.
    #[error("a message does not decode")]
    BadMessage(#[source] postcard::Error),
    /// A message decodes but leaves bytes over.
    #[error("a message has {0} bytes too many")]
    TrailingBytes(usize),
}

/// Cuts a byte stream into frames. Feed it with [`Decoder::buffer`]; it never
/// holds more than one frame plus what the caller put in.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where received bytes go.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, or `None` until more bytes have come.
    pub fn next_frame<M: DeserializeOwned>(&mut self) -> Result<Option<Frame<M>>, ProtocolError> {
        if self.buffer.len() < FRAME_HEADER_BYTES {
            return Ok(None);
        }
        let mut header = &self.buffer[..FRAME_HEADER_BYTES];
        let (length, kind) = (header.get_u32_le(), header.get_u8());
        if length as usize > FRAME_BODY_BYTES_MAX {
            return Err(ProtocolError::FrameTooLong(length));
        }
        if self.buffer.len() < FRAME_HEADER_BYTES + length as usize {
            return Ok(None);
        }
        self.buffer.advance(FRAME_HEADER_BYTES);
        let body = self.buffer.split_to(length as usize).freeze();
        match kind {
            KIND_BULK => Ok(Some(Frame::Bulk(body))),
            KIND_MESSAGE => {
                let (message, rest) =
                    postcard::take_from_bytes(&body).map_err(ProtocolError::BadMessage)?;
                if !rest.is_empty() {
                    return Err(ProtocolError::TrailingBytes(rest.len()));
                }
                Ok(Some(Frame::Message(message)))
            }
            other => Err(ProtocolError::UnknownKind(other)),
        }
    }
}

/// Appends a message frame to `out`.
///
/// # Errors
/// If the message encodes to more than a frame holds.
pub fn encode_message<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let body = postcard::to_allocvec(message).map_err(ProtocolError::BadMessage)?;
    if body.len() > FRAME_BODY_BYTES_MAX {
        return Err(ProtocolError::FrameTooLong(body.len() as u32));
    }
    encode_frame(KIND_MESSAGE, &body, out);
    Ok(())
}

/// Appends `bytes` to `out` as however many bulk frames they need; none if
/// there are no bytes.
pub fn encode_bulk(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(FRAME_BODY_BYTES_MAX) {
        encode_frame(KIND_BULK, piece, out);
    }
}

fn encode_frame(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.reserve(FRAME_HEADER_BYTES + body.len());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromAgent, ToAgent};
    use proptest::prelude::*;

    #[test]
    fn an_oversize_length_is_refused_before_its_body_comes() {
        let mut decoder = Decoder::new();
        decoder.buffer().extend_from_slice(&(FRAME_BODY_BYTES_MAX as u32 + 1).to_le_bytes());
        decoder.buffer().extend_from_slice(&[KIND_BULK]);
        assert!(matches!(decoder.next_frame::<FromAgent>(), Err(ProtocolError::FrameTooLong(_))));
    }

    #[test]
    fn trailing_bytes_in_a_message_are_refused() {
        let mut body = postcard::to_allocvec(&FromAgent::Configured { took_us: 1 }).unwrap();
        body.push(0);
        let mut wire = Vec::new();
        encode_frame(KIND_MESSAGE, &body, &mut wire);
        let mut decoder = Decoder::new();
        decoder.buffer().extend_from_slice(&wire);
        assert!(matches!(decoder.next_frame::<FromAgent>(), Err(ProtocolError::TrailingBytes(1))));
    }

    /// A frame of any kind, also of kinds there are not, with any body.
    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        (0u8..4, prop::collection::vec(any::<u8>(), 0..24)).prop_map(|(kind, body)| {
            let mut wire = Vec::new();
            encode_frame(kind, &body, &mut wire);
            wire
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever a guest sends, in whatever pieces, decoding ends without a
        /// panic, and comes to the same frames and the same end.
        #[test]
        fn hostile_frames_decode_alike_in_any_pieces(
            frames in prop::collection::vec(any_frame(), 0..6),
            tail in prop::collection::vec(any::<u8>(), 0..12),
            cut in 1usize..40,
        ) {
            let wire = [frames.concat(), tail].concat();
            let decode = |piece: usize| {
                let (mut decoder, mut seen) = (Decoder::new(), Vec::new());
                for piece in wire.chunks(piece) {
                    decoder.buffer().extend_from_slice(piece);
                    loop {
                        match decoder.next_frame::<FromAgent>() {
                            Ok(Some(frame)) => seen.push(frame),
                            Ok(None) => break,
                            Err(error) => return (seen, Some(error.to_string())),
                        }
                    }
                }
                (seen, None)
            };
            prop_assert_eq!(decode(cut), decode(wire.len().max(1)));
        }

        /// Bulk bytes arrive as they were sent, however the stream is cut.
        #[test]
        fn bulk_survives_any_fragmentation(length in 0usize..150_000, cut in 500usize..70_000) {
            let bytes: Vec<u8> = (0..length).map(|i| (i ^ (i >> 8)) as u8).collect();
            let mut wire = Vec::new();
            encode_message(&ToAgent::Ping { nonce: 7 }, &mut wire).unwrap();
            encode_bulk(&bytes, &mut wire);
            let mut decoder = Decoder::new();
            let (mut got, mut messages) = (Vec::new(), 0);
            for piece in wire.chunks(cut) {
                decoder.buffer().extend_from_slice(piece);
                while let Some(frame) = decoder.next_frame::<ToAgent>().unwrap() {
                    match frame {
                        Frame::Bulk(b) => got.extend_from_slice(&b),
                        Frame::Message(m) => {
                            prop_assert_eq!(m, ToAgent::Ping { nonce: 7 });
                            messages += 1;
                        }
                    }
                }
            }
            prop_assert!(got == bytes);
            prop_assert_eq!(messages, 1);
        }
    }
}
