//! Writing the files: whole or not at all, synced, and keys for their owner only.

use super::error::PkiError;
use hearth_ambient::random;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The mode of a private key: its owner's.
const KEY_MODE: u32 = 0o600;
/// The mode of a certificate: anybody may know it.
const CERTIFICATE_MODE: u32 = 0o644;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Certificate,
}

/// Writes a file that must not exist yet.
pub(super) fn create(path: &Path, kind: Kind, text: &str) -> Result<(), PkiError> {
    // A link, unlike a rename, never replaces what is there.
    put(path, kind, text, |staged| {
        let linked = fs::hard_link(staged, path);
        let _ = fs::remove_file(staged);
        linked
    })
    .map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => PkiError::Exists { path: path.to_owned() },
        _ => PkiError::Write { path: path.to_owned(), source },
    })
}

/// Writes a file in the place of what may be there.
pub(super) fn replace(path: &Path, kind: Kind, text: &str) -> Result<(), PkiError> {
    put(path, kind, text, |staged| fs::rename(staged, path))
        .map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

fn put(
    path: &Path,
    kind: Kind,
    text: &str,
    place: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let staged = dir.join(format!(".new-{}", hex::encode(random::bytes::<8>())));
    let mode = if kind == Kind::Key { KEY_MODE } else { CERTIFICATE_MODE };
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        place(&staged)?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&staged);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_are_their_owners_and_nothing_is_overwritten_by_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.key");
        create(&path, Kind::Key, "one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = create(&path, Kind::Key, "two").unwrap_err();
        assert!(matches!(error, PkiError::Exists { .. }), "{error:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        replace(&path, Kind::Key, "three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing staged stays");
    }
}
