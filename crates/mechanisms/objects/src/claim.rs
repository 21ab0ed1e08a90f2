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

/// Makes the place `owner`'s, unless it is somebody's already.
pub async fn claim(store: &dyn ObjectStore, owner: &str) -> Result<(), ClaimError> {
    let path = ObjectPath::from(OWNER);
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let claim = PutPayload::from(owner.as_bytes().to_vec());
    match store.put_opts(&path, claim, options).await {
        Ok(_claimed) => return Ok(()),
        Err(Error::AlreadyExists { .. }) => {}
        Err(error) => return Err(ClaimError::Store(error)),
    }
    let range = 0..OWNER_BYTES_MAX;
    let found = store.get_range(&path, range).await.map_err(ClaimError::Store)?;
    match found == owner.as_bytes() {
        true => Ok(()),
        false => Err(ClaimError::Taken { owner: String::from_utf8_lossy(&found).into_owned() }),
    }
}
