//! Makes the zip that a deploy uploads. The same directory always makes the
//! same bytes, so deploying it again changes nothing on the server.

mod archive;
mod walk;

use anyhow::Context;
use bytes::Bytes;
use hearth_types::CODE_ZIP_BYTES_MAX;
use sha2::{Digest, Sha256};
use std::path::Path;

/// A code package, ready to be uploaded.
#[derive(Debug)]
pub(crate) struct Package {
    /// The zip archive.
    pub(crate) zip: Bytes,
    /// Its digest, as AWS's `CodeSha256` gives it.
    pub(crate) sha256_base64: String,
}

impl Package {
    /// Packs a directory, or takes a zip file as it is.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let meta = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        let zip = if meta.is_dir() {
            archive::zip(&walk::files(path)?)?
        } else {
            anyhow::ensure!(
                meta.len() <= CODE_ZIP_BYTES_MAX as u64,
                "{} is larger than {CODE_ZIP_BYTES_MAX} bytes",
                path.display()
            );
            let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
            let is_zip = bytes.starts_with(b"PK");
            anyhow::ensure!(is_zip, "{} is neither a directory nor a zip file", path.display());
            bytes
        };
        anyhow::ensure!(
            zip.len() <= CODE_ZIP_BYTES_MAX,
            "the package has {} bytes zipped; at most {CODE_ZIP_BYTES_MAX} can be uploaded",
            zip.len()
        );
        let digest = Sha256::digest(&zip);
        let sha256_base64 =
            base64::Engine::encode(&base64::prelude::BASE64_STANDARD, digest.as_slice());
        Ok(Self { zip: zip.into(), sha256_base64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn equal_directories_make_equal_zips() {
        let [a, b] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let names = ["app.py", "lib/z.py", "lib/a.py", "B.txt"];
        names.iter().for_each(|name| write(a.path(), name, name));
        names.iter().rev().for_each(|name| write(b.path(), name, name));
        // Neither times, group bits nor what tools leave behind may count.
        let old = std::fs::File::open(b.path().join("app.py")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        let group = std::fs::Permissions::from_mode(0o664);
        std::fs::set_permissions(b.path().join("B.txt"), group).unwrap();
        write(b.path(), "__pycache__/app.cpython-313.pyc", "stale");
        write(b.path(), ".git/HEAD", "ref");
        let [a, b] = [a, b].map(|dir| Package::load(dir.path()).unwrap());
        assert_eq!(a.zip, b.zip);
        assert_eq!(a.sha256_base64, b.sha256_base64);
    }

    #[test]
    fn a_changed_byte_or_executable_bit_changes_the_zip() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "bootstrap", "x");
        let first = Package::load(dir.path()).unwrap().zip;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path().join("bootstrap"), executable).unwrap();
        let second = Package::load(dir.path()).unwrap().zip;
        write(dir.path(), "bootstrap", "y");
        let third = Package::load(dir.path()).unwrap().zip;
        assert!(first != second && second != third);
    }

    #[test]
    fn holds_what_the_directory_holds() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "real.txt", "content");
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        symlink("real.txt", dir.path().join("link.txt")).unwrap();
        let zip = Package::load(dir.path()).unwrap().zip;
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        let names: Vec<_> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["empty/", "link.txt", "real.txt"]);
        let mut text = String::new();
        zip.by_name("link.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
    }

    #[test]
    fn links_out_of_the_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", dir.path().join("passwd")).unwrap();
        let error = Package::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("passwd") && error.contains("outside"), "{error}");
    }

    #[test]
    fn what_is_no_package_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "text", "hello");
        let error = Package::load(&dir.path().join("text")).unwrap_err().to_string();
        assert!(error.contains("neither"), "{error}");
        assert!(Package::load(&dir.path().join("absent")).is_err());
        let empty = tempfile::tempdir().unwrap();
        assert!(Package::load(empty.path()).unwrap_err().to_string().contains("empty"));
    }
}
