//! Putting an object in place of one that was seen, unless another took that place.

use object_store::path::Path as ObjectPath;
use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};

/// Stores bytes if nobody has written there since `seen`; whether so. A try whose answer was
/// lost may have stored them, and the next one then finds another. A folder cannot compare:
/// one process writes there, and sees to that itself.
pub async fn put_unchanged(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    bytes: impl Into<PutPayload>,
    seen: UpdateVersion,
) -> Result<bool, Error> {
    let bytes = bytes.into();
    let options = PutOptions { mode: PutMode::Update(seen), ..PutOptions::default() };
    match store.put_opts(path, bytes.clone(), options).await {
        Ok(_) => Ok(true),
        Err(Error::Precondition { .. } | Error::NotFound { .. }) => Ok(false),
        Err(Error::NotImplemented { .. }) => store.put(path, bytes).await.map(|_| true),
        Err(error) => Err(error),
    }
}
