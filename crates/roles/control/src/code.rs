//! Brings a code package into the chunk store: judged, turned into an image, and
//! synced, before anything refers to it.
//!
//! ```text
//!  zip ─► judged ─► image ─► both written as files ─► a record names them ─► a version does
//!         (may refuse)       (a collection's, until)  (the sweeper's, until)
//! ```

use crate::error::{internal, package};
use crate::mend::Mended;
use crate::records::{CONFLICT_TRIES_MAX, Records, Stored};
use crate::usage::stored_bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hearth_chunk_store::{ChunkStore, InvalidHash, ManifestId, Owner, Written};
use hearth_code_package::Package;
use hearth_services::control::ControlError;
use hearth_services::keys::{self, PackageRecord};
use hearth_services::metastore::{Revision, Txn};
use hearth_types::{AccountId, CodeLocation, RequestId};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;

/// Packages that are being decompressed at once; more wait. Decompressing is
/// pure CPU work, and invokes need the CPU too.
const BUILDS_MAX: usize = 2;

/// The code of all functions.
pub(crate) struct CodeStore {
    pub(crate) chunks: ChunkStore,
    records: Records,
    work_dir: PathBuf,
    builds: Semaphore,
}

/// Code in the chunk store, and the state in which its record was.
pub(crate) struct StoredCode {
    pub(crate) location: CodeLocation,
    key: String,
    revision: Revision,
}

impl StoredCode {
    /// `txn`, which has a version name the code, on the condition that nothing became of
    /// its record: that no sweep, here or elsewhere, is about to remove it.
    pub(crate) fn named_in(&self, txn: Txn) -> Txn {
        txn.unchanged(self.key.as_str(), self.revision)
    }
}

/// A package's files, kept from collections until a record names them.
struct Built {
    location: CodeLocation,
    _files: [Written; 2],
}

/// A package's record was changed by others each time.
#[derive(Debug, thiserror::Error)]
#[error("the record {0} of a code package changes all the time")]
struct Contended(String);

/// A package's record names a file as none is named.
#[derive(Debug, thiserror::Error)]
#[error("the record {0} of a code package is damaged")]
pub(crate) struct DamagedRecord(String, #[source] Option<InvalidHash>);

impl CodeStore {
    /// Empties `work_dir` of what a crash left there.
    pub(crate) fn open(
        chunks: ChunkStore,
        records: Records,
        work_dir: PathBuf,
    ) -> io::Result<Self> {
        match std::fs::remove_dir_all(&work_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(&work_dir)?,
        }
        let builds = Semaphore::new(BUILDS_MAX);
        Ok(Self { chunks, records, work_dir, builds })
    }

    /// What all packages of an account take, whether a version names them or not:
    /// their own bytes, whatever they share with others.
    pub(crate) async fn stored_bytes(&self, account: &AccountId) -> Result<u64, ControlError> {
        let mut total = 0;
        let add = |_, location: CodeLocation| total += stored_bytes(&location);
        self.records.walk(&keys::packages_of(account), add).await?;
        Ok(total)
    }

    /// The files of all packages: what a collection of chunks has to leave.
    pub(crate) async fn files(&self) -> Result<BTreeSet<(Owner, ManifestId)>, ControlError> {
        let (mut files, mut damaged) = (BTreeSet::new(), None);
        let note = |key: String, location: CodeLocation| match files_of(&key, &location) {
            Ok(of_package) => files.extend(of_package),
            Err(error) => damaged = Some(error),
        };
        self.records.walk(keys::PACKAGES, note).await?;
        match damaged {
            // What it needs is not known, so nothing may be collected.
            Some(error) => Err(internal(error)),
            None => Ok(files),
        }
    }

    /// Judges `zip` and keeps nothing.
    pub(crate) async fn check(&self, zip: Bytes) -> Result<CodeLocation, ControlError> {
        let hash = hash_of(&zip).await?;
        let zip_bytes = zip.len() as u64;
        let _permit = self.builds.acquire().await.map_err(internal)?;
        blocking(move || Package::check(&zip)).await?.map_err(package)?;
        Ok(CodeLocation {
            zip_sha256_base64: BASE64.encode(hash),
            zip_bytes,
            zip_file: String::new(),
            image_file: String::new(),
            image_bytes: 0,
        })
    }

    /// Judges `zip` and stores it with its image, unless the account has them.
    pub(crate) async fn store(
        &self,
        account: &AccountId,
        zip: Bytes,
    ) -> Result<StoredCode, ControlError> {
        let hash = hash_of(&zip).await?;
        let key = keys::package(account, &hash);
        for _ in 0..CONFLICT_TRIES_MAX {
            let stored = self.records.get::<PackageRecord>(&key).await?;
            let (location, built) = match &stored {
                None => self.build(account, &hash, &zip).await?.apart(),
                Some(Stored { record, revision }) => {
                    match self.mend(&key, &record.location, &zip).await? {
                        Mended::Whole if !record.doomed => {
                            let location = record.location.clone();
                            return Ok(StoredCode { location, key, revision: *revision });
                        }
                        Mended::Whole => (record.location.clone(), None),
                        Mended::Lost => self.build(account, &hash, &zip).await?.apart(),
                    }
                }
            };
            let txn = match &stored {
                Some(stored) => Txn::new().unchanged(key.as_str(), stored.revision),
                None => Txn::new().absent(key.as_str()),
            };
            let record = PackageRecord { location, doomed: false };
            let txn = txn.put(key.as_str(), keys::encode(&record));
            let committed = self.records.commit_at(txn).await?;
            drop(built);
            if let Some(revision) = committed {
                return Ok(StoredCode { location: record.location, key, revision });
            }
            // Somebody else stored it meanwhile, or removed it.
        }
        Err(internal(Contended(key)))
    }

    /// Whether nothing became of a package's record since it was stored or found.
    pub(crate) async fn is_still(&self, code: &StoredCode) -> Result<bool, ControlError> {
        let stored = self.records.get::<PackageRecord>(&code.key).await?;
        Ok(stored.is_some_and(|stored| stored.revision == code.revision))
    }

    /// Turns a package into an image.
    pub(crate) async fn image(&self, zip: &Bytes) -> Result<BuiltImage, ControlError> {
        let _permit = self.builds.acquire().await.map_err(internal)?;
        let work = WorkFile::new(&self.work_dir);
        let (zip, path) = (zip.clone(), work.0.clone());
        let build = move || {
            let built = Package::build_image(&zip, &path).map_err(package)?;
            Ok((built.image_bytes, File::open(&path).map_err(internal)?))
        };
        let (bytes, file) = blocking(build).await??;
        Ok(BuiltImage { bytes, file, _work: work })
    }

    /// Stores the files of a package and its image.
    async fn build(
        &self,
        account: &AccountId,
        hash: &[u8; 32],
        zip: &Bytes,
    ) -> Result<Built, ControlError> {
        let image = self.image(zip).await?;
        let owner = Owner::Unknown(account.clone());
        let zip_bytes = zip.len() as u64;
        let zip = self.chunks.write(&owner, zip.clone()).await.map_err(internal)?;
        let image_bytes = image.bytes;
        let image = self.chunks.write(&owner, image.file).await.map_err(internal)?;
        let location = CodeLocation {
            zip_sha256_base64: BASE64.encode(hash),
            zip_bytes,
            zip_file: zip.id.to_string(),
            image_file: image.id.to_string(),
            image_bytes,
        };
        Ok(Built { location, _files: [zip, image] })
    }
}

impl Built {
    /// Where it is, and what keeps it there.
    fn apart(self) -> (CodeLocation, Option<Self>) {
        (self.location.clone(), Some(self))
    }
}

/// A package's image, in a file that goes with this.
pub(crate) struct BuiltImage {
    bytes: u64,
    pub(crate) file: File,
    _work: WorkFile,
}

/// Which files a package's record names.
pub(crate) fn files_of(
    key: &str,
    location: &CodeLocation,
) -> Result<[(Owner, ManifestId); 2], DamagedRecord> {
    let account = account_of(key).ok_or_else(|| DamagedRecord(key.to_owned(), None))?;
    let file = |text: &str| match text.parse() {
        Ok(id) => Ok((Owner::Unknown(account.clone()), id)),
        Err(error) => Err(DamagedRecord(key.to_owned(), Some(error))),
    };
    Ok([file(&location.zip_file)?, file(&location.image_file)?])
}

/// Whose package has that key.
pub(crate) fn account_of(key: &str) -> Option<AccountId> {
    key.strip_prefix(keys::PACKAGES)?.split_once('/')?.0.parse().ok()
}

/// A file of the work directory that goes when this does.
struct WorkFile(PathBuf);

impl WorkFile {
    fn new(dir: &Path) -> Self {
        Self(dir.join(RequestId::new().to_string()))
    }
}

impl Drop for WorkFile {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It wastes space until the next start empties the directory.
                tracing::warn!(%error, path = %self.0.display(), "cannot remove a work file");
            }
            _ => {}
        }
    }
}

async fn hash_of(zip: &Bytes) -> Result<[u8; 32], ControlError> {
    let zip = zip.clone();
    blocking(move || Sha256::digest(&zip).into()).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(work).await.map_err(internal)
}
