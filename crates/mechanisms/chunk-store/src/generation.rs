//! The roots of the last collection, kept at the origin.

use crate::among::Pace;
use crate::fetch::ReadError;
use crate::origin::{Origin, age};
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

/// A generation's record, if there is one.
pub(crate) struct Committed(Option<ObjectMeta>);

impl Committed {
    /// Whether what had names then had them a short while ago.
    pub(crate) fn is_fresh(&self, pace: Pace) -> bool {
        self.0.as_ref().is_some_and(|meta| age(meta) <= pace.generation_max())
    }
}

impl Generation {
    /// The last one, empty if there is none, or `None` if its record is damaged; and when
    /// that was.
    pub(crate) async fn last(origin: &Origin) -> Result<(Option<Self>, Committed), ReadError> {
        let found = origin.get_with_meta(&ObjectPath::from(PATH), RECORD_BYTES_MAX).await?;
        Ok(match found {
            None => (Some(Self::default()), Committed(None)),
            Some((bytes, meta)) => (record::decode(&bytes), Committed(Some(meta))),
        })
    }

    /// About the last one's record; `None` if there is none.
    pub(crate) async fn meta(origin: &Origin) -> Result<Option<ObjectMeta>, ReadError> {
        origin.head(&ObjectPath::from(PATH)).await
    }

    /// Makes this the one after `last`; false if there is another by now.
    pub(crate) async fn follow(&self, origin: &Origin, last: Committed) -> Result<bool, ReadError> {
        let (path, bytes) = (ObjectPath::from(PATH), record::encode(self));
        match last.0 {
            None => origin.create(&path, &bytes).await,
            Some(meta) => origin.replace(&path, &bytes, &meta).await,
        }
    }

    /// Makes this the last one.
    pub(crate) async fn commit(&self, origin: &Origin) -> Result<(), ReadError> {
        origin.put(&ObjectPath::from(PATH), &record::encode(self)).await
    }
}
