//! Keys survive, and what is wrong with one is said.

use super::*;
use crate::master_key::MasterKeyError;
use std::os::unix::fs::PermissionsExt;

fn account() -> Owner {
    "account/000000000001".parse().unwrap()
}

fn unknown() -> Owner {
    "unknown/000000000001".parse().unwrap()
}

/// Something that only these keys can tell.
fn seen(keys: &WritingKeys) -> (hearth_chunk_format::ChunkName, Option<SaltGeneration>) {
    let page = vec![1; hearth_chunk_format::PAGE_BYTES];
    (hearth_chunk_format::seal_chunk(&keys.chunks, page).0.name, keys.salt)
}

async fn keys(ring: &Keyring, owner: &Owner) -> WritingKeys {
    ring.writing_keys(owner).await.unwrap()
}

#[tokio::test]
async fn a_key_is_made_once_and_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Keyring::local(dir.path()).await.unwrap();
    let missing = ring.manifest_key(&account()).await.unwrap_err();
    assert!(matches!(missing, KeyringError::Missing(_)), "reading makes no key");
    let first = seen(&keys(&ring, &account()).await);
    let other = Keyring::local(dir.path()).await.unwrap();
    assert_eq!(seen(&keys(&other, &account()).await), first);
    assert_ne!(seen(&keys(&other, &"layer/x".parse().unwrap()).await), first);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn the_salt_is_replaced_when_told_and_when_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Keyring::local(dir.path()).await.unwrap();
    clock::set(Duration::from_secs(1_800_000_000));
    let first = seen(&keys(&ring, &unknown()).await);
    assert_eq!(seen(&keys(&ring, &unknown()).await), first);
    ring.rotate_salt().await.unwrap();
    let second = seen(&keys(&ring, &unknown()).await);
    assert_ne!(second, first);
    clock::set(Duration::from_secs(1_800_000_000) + SALT_AGE_MAX);
    let ring = Keyring::local(dir.path()).await.unwrap();
    let third = seen(&keys(&ring, &unknown()).await);
    let generations = [first, second, third].map(|seen| seen.1.unwrap().0.get());
    assert_eq!(generations, [1, 2, 3]);
}

#[tokio::test]
async fn a_wrong_master_key_is_told_from_damage() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    keys(&Keyring::local(dir.path()).await.unwrap(), &account()).await;
    let other = LocalMasterKey::create(&elsewhere.path().join(MASTER_KEY_FILE)).await.unwrap();
    let ring = Keyring::new(dir.path(), Arc::new(other)).unwrap();
    let wrong = ring.writing_keys(&account()).await.unwrap_err();
    assert!(matches!(wrong, KeyringError::Master(_, MasterKeyError::Wrong)), "{wrong:?}");

    // One account's key in the place of another's.
    let ring = Keyring::local(dir.path()).await.unwrap();
    let name = |digit| dir.path().join(format!("account-00000000000{digit}.key"));
    std::fs::copy(name(1), name(2)).unwrap();
    let wrong = ring.writing_keys(&"account/000000000002".parse().unwrap()).await.unwrap_err();
    assert!(matches!(wrong, KeyringError::Master(_, MasterKeyError::Wrong)), "{wrong:?}");
}

#[tokio::test]
async fn a_master_key_that_is_lost_or_exposed_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    keys(&Keyring::local(dir.path()).await.unwrap(), &account()).await;
    let master = dir.path().join(MASTER_KEY_FILE);
    std::fs::set_permissions(&master, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Keyring::local(dir.path()).await.err().unwrap();
    assert!(matches!(error, KeyringError::Master(_, MasterKeyError::Exposed(_))), "{error:?}");
    std::fs::remove_file(&master).unwrap();
    let error = Keyring::local(dir.path()).await.err().unwrap();
    assert!(matches!(error, KeyringError::Master(_, MasterKeyError::Missing(_))), "{error:?}");
    assert!(!master.exists());
}

#[tokio::test]
async fn any_byte_that_flips_in_any_key_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    keys(&Keyring::local(dir.path()).await.unwrap(), &unknown()).await;
    let files: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            std::fs::write(&file, flipped).unwrap();
            let failed = match Keyring::local(dir.path()).await {
                Err(error) => error,
                Ok(ring) => ring.writing_keys(&unknown()).await.unwrap_err(),
            };
            let damaged = matches!(
                failed,
                KeyringError::Damaged(_) | KeyringError::Master(_, MasterKeyError::Damaged(_))
            );
            assert!(damaged, "{file:?} at {at}: {failed:?}");
        }
        std::fs::write(&file, whole).unwrap();
    }
}
