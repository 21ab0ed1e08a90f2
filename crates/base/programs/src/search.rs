//! The search: which directories, and which of them are trusted.

use crate::{Missing, Program};
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Searched after the `PATH`.
const SYSTEM_DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;
const EXECUTABLE: u32 = 0o111;

/// Every directory of the search, trusted or not.
pub(crate) fn directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from)).collect()
}

/// The trusted ones as a `PATH`.
pub(crate) fn trusted_path() -> OsString {
    let trusted = directories().into_iter().filter_map(|directory| resolve(&directory));
    // Only a directory with a colon cannot be joined; none came out of a PATH
    // with one, and the system's have none.
    std::env::join_paths(trusted).unwrap_or_default()
}

pub(crate) fn find(program: Program, directories: Vec<PathBuf>) -> Result<PathBuf, Missing> {
    let mut passed_over = None;
    for directory in directories {
        let named = directory.join(program.name);
        let Ok(file) = named.metadata() else { continue };
        if !file.is_file() || file.mode() & EXECUTABLE == 0 {
            continue;
        }
        match resolve(&directory) {
            Some(directory) if is_safe(&file) => return Ok(directory.join(program.name)),
            _ => passed_over = passed_over.or(Some(named)),
        }
    }
    Err(Missing { program, passed_over })
}

pub(crate) fn is_trusted(program: &Path) -> bool {
    let Some(directory) = program.parent() else { return false };
    let is_program =
        program.metadata().is_ok_and(|m| m.is_file() && m.mode() & EXECUTABLE != 0 && is_safe(&m));
    is_program && resolve(directory).is_some()
}

/// A directory's true path, if neither it nor one above it could be altered by
/// others. What they may only add to (sticky, like `/tmp`) is no danger to a
/// directory of ours within it.
fn resolve(directory: &Path) -> Option<PathBuf> {
    let true_path = directory.is_absolute().then(|| directory.canonicalize().ok())??;
    let safe = |at: &Path| at.metadata().is_ok_and(|m| is_safe(&m));
    let safe_above = |at: &Path| {
        safe(at) || at.metadata().is_ok_and(|m| m.permissions().mode() & STICKY != 0 && is_ours(&m))
    };
    let trusted = safe(&true_path) && true_path.ancestors().skip(1).all(safe_above);
    trusted.then_some(true_path)
}

fn is_safe(file: &Metadata) -> bool {
    is_ours(file) && file.mode() & WRITABLE_BY_ALL == 0
}

/// Root's, or of the user we run as.
fn is_ours(file: &Metadata) -> bool {
    let user = std::fs::metadata("/proc/self").map(|ourselves| ourselves.uid());
    file.uid() == 0 || user.is_ok_and(|user| file.uid() == user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    const TOOL: Program = Program::new("tool", "tools");

    /// A directory of this mode with an executable `tool` in it.
    fn directory(under: &Path, name: &str, mode: u32) -> PathBuf {
        let directory = under.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("tool"), "").unwrap();
        set(&directory.join("tool"), 0o755);
        set(&directory, mode);
        directory
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn search(directories: &[&Path]) -> Result<PathBuf, Missing> {
        find(TOOL, directories.iter().map(|d| d.to_path_buf()).collect())
    }

    #[test]
    fn what_others_could_alter_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let shared = directory(&root, "shared", 0o777);
        let sticky = directory(&root, "sticky", 0o1777);
        let good = directory(&root, "good", 0o755);
        assert_eq!(search(&[&shared, &sticky, &good]), Ok(good.join("tool")));
        let missing = search(&[&shared]).unwrap_err();
        assert_eq!(missing.passed_over, Some(shared.join("tool")));
        assert!(missing.to_string().contains("apt-get install tools"), "{missing}");

        // A good directory within a bad one could be replaced as a whole.
        let within = directory(&shared, "within", 0o755);
        assert!(search(&[&within]).is_err());
        // A sticky one above it keeps what is ours.
        let within = directory(&sticky, "within", 0o755);
        assert_eq!(search(&[&within]), Ok(within.join("tool")));
        // A file that everybody may write.
        set(&good.join("tool"), 0o777);
        assert!(search(&[&good]).is_err());
    }

    #[test]
    fn another_users_directory_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = directory(dir.path(), "theirs", 0o755);
        // Only root can give a directory away, and only root needs to fear it.
        if std::os::unix::fs::chown(&theirs, Some(12345), None).is_ok() {
            assert!(search(&[&theirs]).is_err());
        }
    }

    #[test]
    fn relative_directories_and_mere_files_are_passed_over() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let relative = directory(Path::new(dir.path().file_name().unwrap()), "bin", 0o755);
        assert!(relative.is_relative() && relative.join("tool").is_file());
        assert!(search(&[&relative]).is_err());
        assert!(search(&[Path::new("")]).is_err());

        let absolute = relative.canonicalize().unwrap();
        set(&absolute.join("tool"), 0o644);
        assert_eq!(search(&[&absolute]).unwrap_err().passed_over, None);
    }

    #[test]
    fn system_programs_are_found_whatever_the_path() {
        assert!(Program::new("sh", "dash").find().unwrap().is_absolute());
        let mut sh = Program::new("sh", "dash").command().unwrap();
        let path = sh.args(["-c", "echo $PATH"]).output().unwrap().stdout;
        let path = String::from_utf8(path).unwrap();
        assert!(path.trim().split(':').all(|d| d.starts_with('/')), "{path}");
    }
}
