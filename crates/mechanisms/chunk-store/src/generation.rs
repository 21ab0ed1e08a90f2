//! The roots of the last collection, kept at the origin.

use crate::fetch::ReadError;
use crate::origin::Origin;
use crate::record::{self, RECORD_BYTES_MAX};
use hearth_chunk_format::{ManifestId, Owner};
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const PATH: &str = "generation";

/// Active roots, by number of the collection that had them.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) roots: BTreeSet<(Owner, ManifestId)>,
}

impl Generation {
    /// The last one, empty if there is none; or `None` if its record is damaged.
    pub(crate) async fn last(origin: &Origin) -> Result<Option<Self>, ReadError> {
        let found = origin.get(&ObjectPath::from(PATH), RECORD_BYTES_MAX).await?;
        Ok(found.map_or_else(|| Some(Self::default()), |bytes| record::decode(&bytes)))
    }

    /// About the last one's record; `None` if there is none.
    pub(crate) async fn meta(origin: &Origin) -> Result<Option<ObjectMeta>, ReadError> {
        origin.head(&ObjectPath::from(PATH)).await
    }

    /// Makes this the last one.
    pub(crate) async fn commit(&self, origin: &Origin) -> Result<(), ReadError> {
        origin.put(&ObjectPath::from(PATH), &record::encode(self)).await
    }
}
