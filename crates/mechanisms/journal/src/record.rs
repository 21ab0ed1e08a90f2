//! Values in the metadata store: a byte for the format, then postcard.

use crate::error::JournalError;
use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

const FORMAT: u8 = 1;

pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    // Only types that cannot fail to be written come here: no maps of unknown length,
    // no writers of their own.
    postcard::to_extend(value, vec![FORMAT]).expect("memory takes what is written").into()
}

/// What lies at `key`.
pub(crate) fn decode<'a, T: Deserialize<'a>>(
    key: &str,
    bytes: &'a [u8],
) -> Result<T, JournalError> {
    let decoded = match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).ok(),
        _ => None,
    };
    decoded.ok_or_else(|| JournalError::Damaged(key.to_owned()))
}
