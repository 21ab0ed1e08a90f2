//! A front end with the real metadata engine and fakes of the other roles, and
//! a client that signs with AWS's own signer.
#![allow(dead_code, unreachable_pub)] // Each test binary uses a part.

pub mod client;
pub mod control;
pub mod fleet;

use fleet::{FakeFleet, FakeLogs, OneWorker};
use hearth_chunk_store::{ChunkStore, Keyring, Options};
use hearth_frontend::{Frontend, FrontendDeps, FrontendOptions, ServeError};
use hearth_metastore::RedbStore;
use hearth_services::keys::{self, AccessKeyRecord};
use hearth_services::logs::OnlyLogs;
use hearth_services::metastore::{MetaStore, Txn};
use hearth_types::{AccessKeyId, AccountId, Secret, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running front end.
pub struct Stage {
    pub address: SocketAddr,
    pub store: Arc<RedbStore>,
    pub fleet: Arc<FakeFleet>,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<Result<(), ServeError>>,
    /// Whether others should send calls here.
    pub is_ready: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

/// The account of most tests.
pub const ALICE: &str = "111111111111";
/// The account behind the wall.
pub const BOB: &str = "222222222222";

impl Stage {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0", FrontendOptions::default()).await
    }

    pub async fn start_at(listen: &str, options: FrontendOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(&dir.path().join("meta.redb")).unwrap());
        let keyring = Keyring::local(&dir.path().join("keyring")).await.unwrap();
        let objects = Arc::new(object_store::memory::InMemory::new());
        let code = ChunkStore::new(objects, keyring, Options::default()).unwrap();
        let fleet = FakeFleet::new();
        for account in [ALICE, BOB] {
            let id = AccessKeyId(format!("AKIA{account}"));
            let record = AccessKeyRecord {
                secret: Secret::new(format!("secret-of-{account}")),
                account: account.parse::<AccountId>().unwrap(),
                created: Timestamp::now(),
                id: id.clone(),
            };
            let txn = Txn::new().put(keys::access_key(&id), keys::encode(&record));
            store.transact(txn).await.unwrap();
        }
        let is_ready = Arc::new(AtomicBool::new(true));
        let readiness = is_ready.clone();
        let deps = FrontendDeps {
            is_ready: Arc::new(move || readiness.load(Ordering::SeqCst)),
            metastore: store.clone(),
            control: Arc::new(control::FakeControl { store: store.clone(), code: code.clone() }),
            assignment: fleet.clone(),
            workers: Arc::new(OneWorker(fleet.clone())),
            logs: Arc::new(OnlyLogs(Arc::new(FakeLogs))),
            code,
        };
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = Frontend::new(deps, options).serve(listener, shutdown.clone());
        Self { address, store, fleet, shutdown, served: tokio::spawn(serving), is_ready, _dir: dir }
    }

    /// A client of an account.
    pub fn client(&self, account: &str) -> client::Client {
        client::Client {
            address: self.address,
            access_key: format!("AKIA{account}"),
            secret: format!("secret-of-{account}"),
        }
    }
}
