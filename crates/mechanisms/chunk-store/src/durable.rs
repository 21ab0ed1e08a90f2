//! Small files that survive a crash: whole or not there.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Only the owner may look.
const SECRET_MODE: u32 = 0o600;
const SECRET_DIR_MODE: u32 = 0o700;

/// Makes a directory for secrets.
pub(crate) fn secret_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(SECRET_DIR_MODE))?;
    sync_parent(dir)
}

/// Makes a secret file, synced, unless there is one; whether it was made.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let staged = stage(path, bytes)?;
    let linked = std::fs::hard_link(&staged, path);
    std::fs::remove_file(&staged)?;
    match linked {
        Ok(()) => sync_parent(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes or replaces a secret file, synced.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::rename(stage(path, bytes)?, path)?;
    sync_parent(path)
}

/// The bytes beside `path`, synced. A crash may leave them there: harmless, and
/// gone with the next try, as the name says nothing but the process.
fn stage(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(format!(".{}.new", std::process::id()));
    let staged = PathBuf::from(staged);
    match std::fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(SECRET_MODE).open(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(staged)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
