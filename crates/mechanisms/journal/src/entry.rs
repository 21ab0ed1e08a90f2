//! What the journal consists of.

use crate::error::JournalError;
use crate::{Epoch, Seq, record};
use bytes::Bytes;
use hearth_services::metastore::VALUE_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Largest record.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Most records of an entry.
pub(crate) const RECORDS_MAX: usize = 2048;
/// Most that the records of an entry have together: with what is written around each,
/// less than a value may have.
pub(crate) const GROUP_BYTES_MAX: usize = VALUE_BYTES_MAX - (RECORDS_MAX + 4) * 8;

/// Records that were written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// Whose it is.
    pub epoch: Epoch,
    /// In the order they were appended in.
    pub records: Vec<Bytes>,
}

/// As it lies in the store.
#[derive(Serialize, Deserialize)]
struct Stored<R> {
    epoch: Epoch,
    records: Vec<R>,
}

pub(crate) fn encode(epoch: Epoch, records: &[Bytes]) -> Bytes {
    let records = records.iter().map(|record| &record[..]).collect();
    record::encode(&Stored::<&[u8]> { epoch, records })
}

pub(crate) fn decode(key: &str, seq: Seq, bytes: &Bytes) -> Result<Entry, JournalError> {
    let stored: Stored<&[u8]> = record::decode(key, bytes)?;
    let records = stored.records.into_iter().map(|record| bytes.slice_ref(record)).collect();
    Ok(Entry { seq, epoch: stored.epoch, records })
}
