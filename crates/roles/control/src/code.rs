//! Brings a code package into the object store: judged, turned into an image,
//! and synced, before anything refers to it.

use crate::error::{internal, package};
use crate::objects::CodeKeys;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::TryStreamExt;
use hearth_code_package::Package;
use hearth_services::control::ControlError;
use hearth_types::{AccountId, CodeLocation, RequestId};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};

/// Packages that are being decompressed at once; more wait. Decompressing is
/// pure CPU work, and invokes need the CPU too.
const BUILDS_MAX: usize = 2;
/// Bytes of an image in memory while it is uploaded.
const UPLOAD_PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one image being written at once.
const UPLOAD_PARTS_MAX: usize = 2;

/// The code of all functions.
pub(crate) struct CodeStore {
    objects: Arc<dyn ObjectStore>,
    work_dir: PathBuf,
    builds: Semaphore,
    /// Read: objects were stored that nothing refers to yet. Write: the
    /// sweeper decides which objects nothing refers to.
    unreferenced: Arc<RwLock<()>>,
}

/// Code in the object store. While this lives the sweeper leaves its objects
/// alone: hold it until the transaction that names them is over.
pub(crate) struct StoredCode {
    pub(crate) location: CodeLocation,
    _unreferenced: OwnedRwLockReadGuard<()>,
}

impl CodeStore {
    /// Empties `work_dir` of what a crash left there.
    pub(crate) fn open(objects: Arc<dyn ObjectStore>, work_dir: PathBuf) -> io::Result<Self> {
        match std::fs::remove_dir_all(&work_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(&work_dir)?,
        }
        let builds = Semaphore::new(BUILDS_MAX);
        Ok(Self { objects, work_dir, builds, unreferenced: Arc::default() })
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    /// What all packages of an account take, whether anything names them or not.
    pub(crate) async fn stored_bytes(&self, account: &AccountId) -> Result<u64, ControlError> {
        let prefix = CodeKeys::of_account(account);
        let objects = self.objects.list(Some(&prefix)).map_err(internal);
        objects.try_fold(0, |sum, object| async move { Ok(sum + object.size) }).await
    }

    pub(crate) fn unreferenced(&self) -> &RwLock<()> {
        &self.unreferenced
    }

    /// Judges `zip` and keeps nothing; where it would be.
    pub(crate) async fn check(
        &self,
        account: &AccountId,
        zip: Bytes,
    ) -> Result<CodeLocation, ControlError> {
        let (hash, keys) = name(account, &zip).await?;
        let zip_bytes = zip.len() as u64;
        let _permit = self.builds.acquire().await.map_err(internal)?;
        blocking(move || Package::check(&zip)).await?.map_err(package)?;
        Ok(location(&hash, &keys, zip_bytes, 0))
    }

    /// Judges `zip` and stores it with its image, unless they are there.
    pub(crate) async fn store(
        &self,
        account: &AccountId,
        zip: Bytes,
    ) -> Result<StoredCode, ControlError> {
        let (hash, keys) = name(account, &zip).await?;
        let zip_bytes = zip.len() as u64;
        let guard = self.unreferenced.clone().read_owned().await;
        let image_bytes = match self.image_of(&keys).await? {
            Some(bytes) => bytes,
            None => self.build(&keys, zip).await?,
        };
        let location = location(&hash, &keys, zip_bytes, image_bytes);
        Ok(StoredCode { location, _unreferenced: guard })
    }

    async fn build(&self, keys: &CodeKeys, zip: Bytes) -> Result<u64, ControlError> {
        let _permit = self.builds.acquire().await.map_err(internal)?;
        let file = WorkFile::new(&self.work_dir);
        let image = {
            let (zip, path) = (zip.clone(), file.0.clone());
            blocking(move || Package::build_image(&zip, &path)).await?.map_err(package)?
        };
        self.objects.put(&keys.zip, PutPayload::from(zip)).await.map_err(internal)?;
        self.upload(&file.0, &keys.image).await?;
        Ok(image.image_bytes)
    }

    async fn upload(&self, file: &Path, key: &ObjectPath) -> Result<(), ControlError> {
        let mut file = tokio::fs::File::open(file).await.map_err(internal)?;
        let upload = self.objects.put_multipart(key).await.map_err(internal)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, UPLOAD_PART_BYTES);
        let copied = async {
            loop {
                upload.wait_for_capacity(UPLOAD_PARTS_MAX).await.map_err(internal)?;
                let mut part = Vec::with_capacity(UPLOAD_PART_BYTES);
                let part_bytes = UPLOAD_PART_BYTES as u64;
                if (&mut file).take(part_bytes).read_to_end(&mut part).await.map_err(internal)? == 0
                {
                    return Ok(());
                }
                upload.put(part.into());
            }
        };
        match copied.await {
            Ok(()) => upload.finish().await.map(drop).map_err(internal),
            Err(error) => {
                upload.abort().await.map_err(internal)?;
                Err(error)
            }
        }
    }

    /// The size of a package's image, if zip and image are both there: an upload
    /// or a sweep that was cut off leaves one of them.
    async fn image_of(&self, keys: &CodeKeys) -> Result<Option<u64>, ControlError> {
        match self.size(&keys.zip).await? {
            Some(_) => self.size(&keys.image).await,
            None => Ok(None),
        }
    }

    async fn size(&self, key: &ObjectPath) -> Result<Option<u64>, ControlError> {
        match self.objects.head(key).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(internal(error)),
        }
    }
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

async fn name(account: &AccountId, zip: &Bytes) -> Result<([u8; 32], CodeKeys), ControlError> {
    let zip = zip.clone();
    let hash: [u8; 32] = blocking(move || Sha256::digest(&zip).into()).await?;
    Ok((hash, CodeKeys::new(account, &hash)))
}

fn location(hash: &[u8; 32], keys: &CodeKeys, zip_bytes: u64, image_bytes: u64) -> CodeLocation {
    CodeLocation {
        zip_sha256_base64: BASE64.encode(hash),
        zip_bytes,
        zip_object: keys.zip.to_string(),
        image_object: keys.image.to_string(),
        image_bytes,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(work).await.map_err(internal)
}
