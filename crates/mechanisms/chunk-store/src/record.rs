//! A record at the origin that no name vouches for, so it brings its hash.
//!
//! ```text
//!  0        32
//!  ├────────┼──────────────────┐
//!  │ BLAKE3 │ record, postcard │
//!  └────────┴──────────────────┘
//! ```

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

const HASH_BYTES: usize = 32;

/// Most bytes of a record. Room for half a million roots.
pub(crate) const RECORD_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn encode<T: Serialize>(record: &T) -> Bytes {
    let record = postcard::to_stdvec(record).expect("a record is numbers, texts and sets");
    let mut bytes = blake3::hash(&record).as_bytes().to_vec();
    bytes.extend(record);
    bytes.into()
}

/// What was encoded, or `None` if it is damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (hash, record) = bytes.split_first_chunk::<HASH_BYTES>()?;
    if blake3::hash(record).as_bytes() != hash {
        return None;
    }
    postcard::from_bytes(record).ok()
}
