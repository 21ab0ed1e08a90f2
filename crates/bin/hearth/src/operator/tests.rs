//! Round trips over a real socket, with accounts kept in memory.

mod snapshots;

use super::{Collection, Desk, Keeper, OperatorClient, OperatorSocket, SOCKET_NAME, SnapshotDesk};
use async_trait::async_trait;
use hearth_chunk_store::{ManifestId, Owner};
use hearth_services::control::{Accounts, ControlError};
use hearth_services::keys::{AccessKeyRecord, AccountRecord};
use hearth_types::{AccessKeyId, AccountId, Secret, SnapshotId, Timestamp, VersionKey};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Accounts in memory; keys are numbered.
#[derive(Default)]
struct Memory(Mutex<Vec<(AccountRecord, u32)>>);

fn key(account: &AccountId, number: u32) -> AccessKeyRecord {
    AccessKeyRecord {
        id: AccessKeyId(format!("AKIA{number}")),
        secret: Secret::new(format!("secret-{number}")),
        account: account.clone(),
        created: Timestamp(0),
    }
}

#[async_trait]
impl Accounts for Memory {
    async fn create(&self, name: String) -> Result<(AccountRecord, AccessKeyRecord), ControlError> {
        if name.is_empty() {
            return Err(ControlError::Invalid("an account needs a name".into()));
        }
        let mut all = self.0.lock().unwrap();
        let id: AccountId = format!("{:012}", all.len() + 1).parse().unwrap();
        let record = AccountRecord { id: id.clone(), name, created: Timestamp(0) };
        all.push((record.clone(), 1));
        Ok((record, key(&id, 1)))
    }

    async fn list(&self) -> Result<Vec<(AccountRecord, Vec<String>)>, ControlError> {
        let all = self.0.lock().unwrap();
        Ok(all.iter().map(|(a, n)| (a.clone(), vec![format!("AKIA{n}")])).collect())
    }

    async fn rotate_key(&self, account: &AccountId) -> Result<AccessKeyRecord, ControlError> {
        let mut all = self.0.lock().unwrap();
        let found = all.iter_mut().find(|(a, _)| a.id == *account);
        let (_, number) =
            found.ok_or_else(|| ControlError::Invalid(format!("no account {account}")))?;
        *number += 1;
        Ok(key(account, *number))
    }
}

/// Has nothing to keep.
struct Nothing;

#[async_trait]
impl Keeper for Nothing {
    async fn versions(&self) -> anyhow::Result<BTreeMap<SnapshotId, VersionKey>> {
        Ok(BTreeMap::new())
    }

    async fn code_files(&self) -> anyhow::Result<BTreeSet<(Owner, ManifestId)>> {
        Ok(BTreeSet::new())
    }

    async fn collect(&self, _: Option<std::time::Duration>) -> anyhow::Result<Collection> {
        Ok(Collection::default())
    }
}

/// Of a server without snapshots.
fn desk() -> Arc<Desk> {
    let snapshots = SnapshotDesk::new(None, Arc::new(Nothing));
    Arc::new(Desk { accounts: Arc::new(Memory::default()), snapshots })
}

#[tokio::test]
async fn accounts_are_made_listed_and_rekeyed() {
    let dir = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let socket = OperatorSocket::bind(dir.path()).unwrap();
    let server = tokio::spawn(socket.serve(desk(), stop.clone()));

    let mut client = OperatorClient::connect(dir.path()).await.unwrap();
    let made = client.create("first".into()).await.unwrap();
    assert_eq!(made.account.as_str(), "000000000001");
    assert_eq!(made.secret_access_key.expose(), "secret-1");
    let rotated = client.rotate_key(&made.account).await.unwrap();
    assert_eq!(rotated.access_key_id, "AKIA2");
    let all = client.list().await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].name.as_str(), all[0].access_key_ids.as_slice()),
        ("first", &["AKIA2".to_owned()][..])
    );

    let refused = client.create(String::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), "an account needs a name");
    let unknown = client.rotate_key(&"999999999999".parse().unwrap()).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no account 999999999999");
    let oversize = client.create("x".repeat(5000)).await.unwrap_err();
    assert!(oversize.to_string().contains("too long"), "{oversize}");

    stop.cancel();
    server.await.unwrap();
    assert!(!dir.path().join(SOCKET_NAME).exists());
}

#[tokio::test]
async fn the_socket_is_the_owners_alone_and_replaces_a_stale_one() {
    let dir = tempfile::tempdir().unwrap();
    // Only root can give a directory away; the socket in it then goes along.
    let owner = match std::os::unix::fs::chown(dir.path(), Some(12345), None) {
        Ok(()) => 12345,
        Err(_) => rustix::process::geteuid().as_raw(),
    };
    let path = dir.path().join(SOCKET_NAME);
    std::fs::write(&path, "left by a killed server").unwrap();
    let socket = OperatorSocket::bind(dir.path()).unwrap();
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert_eq!(meta.uid(), owner);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn without_a_server_the_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = OperatorClient::connect(dir.path()).await.unwrap_err().to_string();
    assert!(error.contains("operator.sock") && error.contains("hearth up"), "{error}");
}
