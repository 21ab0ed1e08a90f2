//! The object store, where the bytes are: a local folder, or S3 and whatever speaks its
//! protocol. Which of them is said by one text (`location`), and what else is needed
//! comes from where AWS's own tools take it (`s3`).
//!
//! | | folder | S3 |
//! |---|---|---|
//! | an object that was put survives | a crash of the machine: it is synced | what S3 survives |
//! | an object appears | whole | whole |
//! | [`PutMode::Create`](object_store::PutMode::Create) | by the name | by `If-None-Match` |
//! | [`PutMode::Update`](object_store::PutMode::Update) | no: one process writes there | by `If-Match` |
//! | a call that fails is tried again | no | for [`RETRY_MAX`] |
//!
//! Everything else is `object_store`'s contract, and the same suite of tests runs over
//! both.
#![forbid(unsafe_code)]

mod claim;
mod error;
mod folder;
mod location;
mod s3;

pub use claim::{ClaimError, claim};
pub use error::OpenError;
pub use location::{BadLocation, Endpoint, Location};
pub use s3::RETRY_MAX;

use hearth_aws_profile::Env;
use object_store::ObjectStore;
use std::path::Path;
use std::sync::Arc;

/// Opens the store in a folder for the one process that writes to it: makes it if it is
/// missing, and removes what a crash left of uploads.
pub fn open_folder(dir: &Path) -> Result<Arc<dyn ObjectStore>, OpenError> {
    Ok(Arc::new(folder::open(dir)?))
}

/// Opens the store for the one process that writes to it. Waits until S3 has answered once,
/// so that what is wrong with it is said now.
pub async fn open(
    location: &Location,
    endpoint: Option<&Endpoint>,
    env: Env<'_>,
) -> Result<Arc<dyn ObjectStore>, OpenError> {
    match location {
        Location::Folder(dir) => open_folder(dir),
        Location::S3 { bucket, prefix } => {
            let store = s3::build(bucket, prefix, endpoint, env)?;
            s3::check(&*store, bucket).await?;
            Ok(store)
        }
    }
}

/// Opens the store for a process that only reads: it touches and asks nothing yet.
pub fn open_reader(
    location: &Location,
    endpoint: Option<&Endpoint>,
    env: Env<'_>,
) -> Result<Arc<dyn ObjectStore>, OpenError> {
    match location {
        Location::Folder(dir) => Ok(Arc::new(folder::plain(dir)?)),
        Location::S3 { bucket, prefix } => s3::build(bucket, prefix, endpoint, env),
    }
}
