//! A cluster's keyring on an object store that fails.

mod support;

use hearth_chunk_store::{Keyring, KeyringError, LocalMasterKey, MASTER_KEY_FILE};
use object_store::ObjectStore;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use support::Faulty;
use tempfile::TempDir;

async fn master_key() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(MASTER_KEY_FILE);
    LocalMasterKey::create(&path).await.unwrap();
    (dir, path)
}

async fn open(faulty: &Arc<Faulty>, master_key: &Path) -> Result<Keyring, KeyringError> {
    Keyring::shared(master_key, faulty.clone() as Arc<dyn ObjectStore>).await
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_moment_is_asked_again_and_one_that_hangs_is_told() {
    let (_dir, path) = master_key().await;
    let faulty = Arc::new(Faulty::default());
    faulty.fail_next.store(2, SeqCst);
    open(&faulty, &path).await.unwrap();
    faulty.hang.store(true, SeqCst);
    let error = open(&faulty, &path).await.err().unwrap();
    assert!(matches!(error, KeyringError::Store(..)), "{error:?}");
}

#[tokio::test]
async fn a_store_that_lets_two_make_one_key_is_refused() {
    let (_dir, path) = master_key().await;
    let faulty = Arc::new(Faulty::default());
    faulty.unconditional.store(true, SeqCst);
    // Also by the second try, which finds the first one's check.
    for _ in 0..2 {
        let error = open(&faulty, &path).await.err().unwrap();
        assert!(matches!(error, KeyringError::Unconditional), "{error:?}");
    }
    faulty.unconditional.store(false, SeqCst);
    open(&faulty, &path).await.unwrap();
}

#[tokio::test]
async fn a_master_key_is_copied_to_where_none_is() {
    let (dir, path) = master_key().await;
    let copy = dir.path().join("copy.key");
    LocalMasterKey::copy(&path, &copy).await.unwrap();
    let faulty = Arc::new(Faulty::default());
    open(&faulty, &path).await.unwrap();
    open(&faulty, &copy).await.unwrap();
    let (_other, stranger) = master_key().await;
    assert!(LocalMasterKey::copy(&stranger, &copy).await.is_err(), "nothing is overwritten");
    open(&faulty, &copy).await.unwrap();
}
