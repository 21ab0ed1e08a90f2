//! Files that guests' memory is in while it is captured: in memory themselves, and
//! without a name once the VMM has opened them, so that a crash leaves none.

use futures_util::StreamExt;
use hearth_chunk_store::{Fetched, PAGE_BYTES, Run, StoredFile};
use hearth_vmm::Memory;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where: a file system in memory, on every Linux host.
const DIR: &str = "/dev/shm";
/// Names of these files begin so, and go on with the process's id.
const PREFIX: &str = "hearth-guest-";

/// A named file; the name goes on drop.
pub(crate) struct GuestMemory {
    file: File,
    name: Name,
}

/// A file's name.
pub(crate) struct Name(PathBuf);

impl GuestMemory {
    /// Memory of a guest that has not booted.
    pub(crate) async fn empty(memory_mib: u32) -> io::Result<Self> {
        blocking(move || {
            let made = Self::create()?;
            made.file.set_len(u64::from(memory_mib) << 20)?;
            Ok(made)
        })
        .await
    }

    /// Puts the memory of a captured guest in.
    pub(crate) async fn fill(&self, of: &StoredFile) -> io::Result<()> {
        write_data(of, &self.file).await
    }

    fn create() -> io::Result<Self> {
        let name = hex(&hearth_ambient::random::bytes::<8>());
        let path = Path::new(DIR).join(format!("{PREFIX}{}-{name}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let made = Self { file, name: Name(path) };
        // The VMM has a uid of its own; until it has opened the file its name, which
        // nobody can guess, is all that keeps others away.
        made.file.set_permissions(Permissions::from_mode(0o666))?;
        Ok(made)
    }

    /// To be captured.
    pub(crate) fn captured(&self) -> Memory {
        Memory::Captured(self.name.0.clone())
    }

    /// The file, and its name, which goes when it is dropped: once the VMM has the
    /// file open too.
    pub(crate) fn split(self) -> (File, Name) {
        (self.file, self.name)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a guest's memory");
        }
    }
}

/// Removes what killed processes left: the name of a file whose VMM had not opened it.
pub(crate) fn remove_strays() -> io::Result<()> {
    for entry in std::fs::read_dir(DIR)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let is_stray = owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if is_stray {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes the data of a stored file to the same places in another, which is empty.
pub(crate) async fn write_data(of: &StoredFile, to: &File) -> io::Result<()> {
    let mut chunks = Box::pin(of.fetch_all());
    while let Some(fetched) = chunks.next().await {
        let Fetched { data, runs } = fetched.map_err(io::Error::other)?;
        let to = to.try_clone()?;
        blocking(move || {
            for Run { page, at, pages } in runs {
                let end = (at + pages as usize * PAGE_BYTES).min(data.len());
                to.write_all_at(&data[at..end], u64::from(page) * PAGE_BYTES as u64)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
