//! The credentials file of the default account, for AWS clients on this machine.

use hearth_services::keys::AccessKeyRecord;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Writes `key` as profile `default`, mode 0600, in place of what was there, for
/// the owner of the directory: the server may be root where its user is not. A
/// crash, be it the machine's, leaves the old file or the new one.
pub(crate) fn write(path: &Path, key: &AccessKeyRecord) -> io::Result<()> {
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.id,
        key.secret.expose()
    );
    let directory = path.parent().unwrap_or(Path::new("."));
    let owner = std::fs::metadata(directory)?;
    let temporary = path.with_extension("new");
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    if file.metadata()?.uid() != owner.uid() {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    // The account is durable by now, and its secret is shown nowhere else.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_types::{AccessKeyId, Secret, Timestamp};
    use std::os::unix::fs::PermissionsExt;

    fn key() -> AccessKeyRecord {
        AccessKeyRecord {
            id: AccessKeyId("AKIAX".into()),
            secret: Secret::new("s3cret".into()),
            account: "111111111111".parse().unwrap(),
            created: Timestamp(0),
        }
    }

    #[test]
    fn it_belongs_to_the_directorys_owner() {
        let dir = tempfile::tempdir().unwrap();
        // Only root can give a directory away, and only root needs to give the file.
        let given = std::os::unix::fs::chown(dir.path(), Some(12345), Some(12346)).is_ok();
        let path = dir.path().join("credentials");
        write(&path, &key()).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert_eq!(file.uid(), std::fs::metadata(dir.path()).unwrap().uid());
        assert!(!given || file.gid() == 12346);
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn only_the_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(&path, "old").unwrap();
        write(&path, &key()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "[default]\naws_access_key_id = AKIAX\naws_secret_access_key = s3cret\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
