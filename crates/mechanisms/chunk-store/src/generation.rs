//! The roots of the last collection, kept at the origin.
//!
//! ```text
//!  generation    0        32
//!                ├────────┼─────────────────────────────────┐
//!                │ BLAKE3 │ postcard: number, active roots │
//!                └────────┴─────────────────────────────────┘
//! ```

use crate::fetch::ReadError;
use crate::origin::Origin;
use hearth_chunk_format::{ManifestId, Owner};
use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const PATH: &str = "generation";
const HASH_BYTES: usize = 32;
/// Room for half a million roots.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// Active roots, by number of the collection that had them.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) roots: BTreeSet<(Owner, ManifestId)>,
}

impl Generation {
    /// The last one, empty if there is none; or `None` if its record is damaged.
    pub(crate) async fn last(origin: &Origin) -> Result<Option<Self>, ReadError> {
        let Some(bytes) = origin.get(&ObjectPath::from(PATH), RECORD_BYTES_MAX).await? else {
            return Ok(Some(Self::default()));
        };
        let checked = bytes
            .split_first_chunk::<HASH_BYTES>()
            .filter(|(hash, record)| blake3::hash(record).as_bytes() == *hash);
        Ok(checked.and_then(|(_, record)| postcard::from_bytes(record).ok()))
    }

    /// Makes this the last one.
    pub(crate) async fn commit(&self, origin: &Origin) -> Result<(), ReadError> {
        let record = postcard::to_stdvec(self).expect("a set of texts serialises");
        let mut bytes = blake3::hash(&record).as_bytes().to_vec();
        bytes.extend(record);
        origin.put(&ObjectPath::from(PATH), &bytes.into()).await
    }
}
