//! Whose objects these are. Whoever keeps objects deletes those that it does not know, so
//! two that share a place would delete each other's.

use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

/// The object that says whose they are.
const OWNER: &str = "owner";
/// Longest name of an owner, in bytes.
const OWNER_BYTES_MAX: u64 = 64;

/// The place is not ours.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It is somebody else's.
    #[error(
        "these objects belong to another server ({owner}), which would delete ours: choose \
         another prefix or folder"
    )]
    Taken {
        /// Whose they are.
        owner: String,
    },
    /// It cannot be found out.
    #[error("cannot find out whose objects these are")]
    Store(#[source] Error),
}

/// Makes the place `owner`'s, unless it is somebody's already. What was written is read
/// again: a server that knows nothing of conditions takes every claim.
pub async fn claim(store: &dyn ObjectStore, owner: &str) -> Result<(), ClaimError> {
    if owner_of(store).await?.is_none() {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let claim = PutPayload::from(owner.as_bytes().to_vec());
        match store.put_opts(&ObjectPath::from(OWNER), claim, options).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(ClaimError::Store(error)),
        }
    }
    match owner_of(store).await? {
        Some(found) if found == owner.as_bytes() => Ok(()),
        found => {
            let owner = String::from_utf8_lossy(&found.unwrap_or_default()).into_owned();
            Err(ClaimError::Taken { owner })
        }
    }
}

async fn owner_of(store: &dyn ObjectStore) -> Result<Option<Vec<u8>>, ClaimError> {
    match store.get_range(&ObjectPath::from(OWNER), 0..OWNER_BYTES_MAX).await {
        Ok(found) => Ok(Some(found.to_vec())),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(ClaimError::Store(error)),
    }
}
