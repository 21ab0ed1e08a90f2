//! Messages as bytes: MessagePack with named fields, and tonic's codec for what is packed.
//!
//! Named fields let nodes of neighbouring versions talk: a field that one does not know
//! is skipped, one that is missing is what serde's default says. Messages are packed and
//! unpacked outside tonic, so that their length is known before anything is sent.

use bytes::{Buf, BufMut, Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// What a message's buffer begins with.
const BUFFER_BYTES: usize = 512;
/// When tonic sends what it has; a unary call has one message only.
const YIELD_BYTES: usize = 32 << 10;

/// Why a message was not packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("the message has more than {max} bytes")]
    TooLarge { max: usize },
    #[error("the message cannot be written as MessagePack")]
    Unwritable(#[source] rmp_serde::encode::Error),
}

/// Packs a message, unless it gets too large.
pub(crate) fn pack<T: Serialize + ?Sized>(message: &T, max: usize) -> Result<Bytes, PackError> {
    let mut sink = Bounded { bytes: Vec::with_capacity(128), max, is_over: false };
    let mut writer = rmp_serde::Serializer::new(&mut sink).with_struct_map();
    let outcome = message.serialize(&mut writer);
    match outcome {
        Ok(()) => Ok(sink.bytes.into()),
        Err(_) if sink.is_over => Err(PackError::TooLarge { max }),
        Err(error) => Err(PackError::Unwritable(error)),
    }
}

/// Unpacks a message.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

/// A buffer that stops growing at its bound.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
    is_over: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.max - self.bytes.len() {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Carries packed messages in gRPC's frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packed;

impl Codec for Packed {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Packed {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.len());
        buffer.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl Decoder for Packed {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Old {
        name: String,
        payload: Bytes,
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct New {
        payload: Bytes,
        #[serde(default)]
        zone: Option<String>,
        name: String,
        #[serde(default)]
        sizes: Vec<u32>,
    }

    #[test]
    fn neighbouring_versions_understand_each_other() {
        let (name, payload) = ("f".to_owned(), Bytes::from_static(b"x"));
        let old = Old { name: name.clone(), payload: payload.clone() };
        let new: New = unpack(&pack(&old, 1024).unwrap()).unwrap();
        assert_eq!(new, New { payload, zone: None, name, sizes: vec![] });
        let newer = New { zone: Some("a".into()), sizes: vec![1, 2], ..new };
        assert_eq!(unpack::<Old>(&pack(&newer, 1024).unwrap()).unwrap(), old);
    }

    #[test]
    fn bytes_go_as_they_are() {
        let payload = Bytes::from(vec![0xff; 100_000]);
        let packed = pack(&Old { name: "f".into(), payload }, usize::MAX).unwrap();
        assert!(packed.len() < 100_050, "numbers would take twice as much: {}", packed.len());
    }

    #[test]
    fn a_message_fits_exactly_or_not_at_all() {
        let message = Old { name: "f".into(), payload: Bytes::from(vec![7; 1000]) };
        let length = pack(&message, usize::MAX).unwrap().len();
        assert_eq!(pack(&message, length).unwrap().len(), length);
        let error = pack(&message, length - 1).unwrap_err();
        assert!(matches!(error, PackError::TooLarge { max } if max == length - 1), "{error:?}");
    }

    #[test]
    fn errors_of_the_application_are_part_of_the_answer() {
        let answer: Result<u32, String> = Err("no such sandbox".into());
        let packed = pack(&answer, 1024).unwrap();
        assert_eq!(unpack::<Result<u32, String>>(&packed).unwrap(), answer);
    }
}
