//! Files that guests' memory is in while it is captured: in memory themselves, and
//! without a name once the VMM has opened them, so that a crash leaves none.

use hearth_vmm::Memory;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
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

struct Name(PathBuf);

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

    /// The same as in `file`, for a clone of that guest.
    pub(crate) async fn copy(file: &File) -> io::Result<Self> {
        let from = file.try_clone()?;
        blocking(move || {
            let made = Self::create()?;
            made.file.set_len(from.metadata()?.len())?;
            copy_data(&from, &made.file)?;
            Ok(made)
        })
        .await
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

    /// For a clone.
    pub(crate) fn cloned(&self) -> Memory {
        Memory::Cloned(self.name.0.clone())
    }

    /// The file, once the VMM has it open too.
    pub(crate) fn opened(self) -> File {
        self.file
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a guest's memory");
        }
    }
}

/// A copy of `from`, holes included, as a new file on the disk.
pub(crate) async fn copy_to(from: &File, to: &Path) -> io::Result<()> {
    let (from, to) = (from.try_clone()?, to.to_owned());
    blocking(move || {
        let file = File::options().write(true).create_new(true).open(to)?;
        file.set_len(from.metadata()?.len())?;
        copy_data(&from, &file)
    })
    .await
}

/// Copies what is not a hole.
fn copy_data(from: &File, to: &File) -> io::Result<()> {
    use rustix::fs::{SeekFrom, seek};
    let mut at = 0;
    loop {
        let data = match seek(from, SeekFrom::Data(at)) {
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            data => data?,
        };
        let end = seek(from, SeekFrom::Hole(data))?;
        let (mut from_at, mut to_at) = (data, data);
        while from_at < end {
            let length = (end - from_at) as usize;
            let copied = rustix::fs::copy_file_range(
                from,
                Some(&mut from_at),
                to,
                Some(&mut to_at),
                length,
            )?;
            if copied == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        at = end;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
