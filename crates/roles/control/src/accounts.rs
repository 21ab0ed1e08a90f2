//! Accounts and access keys.

use crate::error::internal;
use crate::records::{CONFLICT_TRIES_MAX, Stored};
use crate::service::ControlService;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearth_ambient::random;
use hearth_services::control::{Accounts, ControlError};
use hearth_services::keys::{self, AccessKeyRecord, AccountRecord};
use hearth_services::metastore::{TXN_OPS_MAX, Txn};
use hearth_types::{AccessKeyId, AccountId, Secret, Timestamp};
use std::collections::BTreeMap;

/// Longest name an operator may give an account.
const NAME_BYTES_MAX: usize = 128;
/// The name of the account that the first start makes.
const DEFAULT_NAME: &str = "default";
const KEY_ID_PREFIX: &str = "AKIA";
const KEY_ID_RANDOM_CHARS: usize = 16;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// 30 bytes are 40 characters of base64, the length of AWS's secrets.
const SECRET_BYTES: usize = 30;
const ACCOUNT_DIGITS: u32 = 12;

impl ControlService {
    /// Makes the account `default` with one key if there is no account at
    /// all; the credentials if it did. The secret cannot be had again, so a
    /// caller that loses it must rotate the key.
    pub async fn ensure_default(
        &self,
    ) -> Result<Option<(AccountRecord, AccessKeyRecord)>, ControlError> {
        let _one_at_a_time = self.ensuring_default.lock().await;
        if !self.records.list::<AccountRecord>(keys::ACCOUNTS, None, 1).await?.is_empty() {
            return Ok(None);
        }
        self.create(DEFAULT_NAME.to_owned()).await.map(Some)
    }

    /// All keys of all accounts, by account.
    async fn keys_by_account(&self) -> Result<BTreeMap<AccountId, Vec<String>>, ControlError> {
        let mut by_account: BTreeMap<_, Vec<String>> = BTreeMap::new();
        let mut add = |key: AccessKeyRecord| {
            by_account.entry(key.account).or_default().push(key.id.0);
        };
        self.records.walk(keys::ACCESS_KEYS, |_, key| add(key)).await?;
        Ok(by_account)
    }
}

#[async_trait]
impl Accounts for ControlService {
    async fn create(&self, name: String) -> Result<(AccountRecord, AccessKeyRecord), ControlError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(ControlError::Invalid(format!(
                "an account name is 1 to {NAME_BYTES_MAX} printable bytes"
            )));
        }
        // A retry needs two equal random ids; a second one does not happen.
        for _ in 0..CONFLICT_TRIES_MAX {
            let account = AccountRecord {
                id: random_account_id()?,
                name: name.clone(),
                created: Timestamp::now(),
            };
            let key = new_key(&account.id);
            let txn = put_key(Txn::new(), &key)
                .absent(keys::account(&account.id))
                .put(keys::account(&account.id), keys::encode(&account));
            if self.records.commit(txn).await? {
                return Ok((account, key));
            }
        }
        Err(ControlError::Conflict("no free account id was found".to_owned()))
    }

    async fn list(&self) -> Result<Vec<(AccountRecord, Vec<String>)>, ControlError> {
        let mut keys_of = self.keys_by_account().await?;
        let mut accounts = Vec::new();
        let mut add = |account: AccountRecord| {
            let keys = keys_of.remove(&account.id).unwrap_or_default();
            accounts.push((account, keys));
        };
        self.records.walk(keys::ACCOUNTS, |_, account| add(account)).await?;
        Ok(accounts)
    }

    async fn rotate_key(&self, account: &AccountId) -> Result<AccessKeyRecord, ControlError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let found: Option<Stored<AccountRecord>> =
                self.records.get(&keys::account(account)).await?;
            let found = found
                .ok_or_else(|| ControlError::Invalid(format!("there is no account {account}")))?;
            let old = self.keys_by_account().await?.remove(account).unwrap_or_default();
            let key = new_key(account);
            // Writing the account's record too makes rotations exclude each
            // other, so exactly one key is left.
            let account_key = keys::account(account);
            let mut txn = put_key(Txn::new(), &key)
                .unchanged(account_key.clone(), found.revision)
                .put(account_key, keys::encode(&found.record));
            for old in old.into_iter().take(TXN_OPS_MAX / 2) {
                txn = txn.delete(keys::access_key(&AccessKeyId(old)));
            }
            if self.records.commit(txn).await? {
                return Ok(key);
            }
        }
        Err(ControlError::Conflict(format!("the keys of {account} are being rotated")))
    }
}

fn put_key(txn: Txn, key: &AccessKeyRecord) -> Txn {
    let path = keys::access_key(&key.id);
    txn.absent(path.clone()).put(path, keys::encode(key))
}

fn new_key(account: &AccountId) -> AccessKeyRecord {
    let random: [u8; KEY_ID_RANDOM_CHARS] = random::bytes();
    let digits = random.map(|byte| char::from(BASE32[usize::from(byte) % BASE32.len()]));
    let id = KEY_ID_PREFIX.chars().chain(digits).collect();
    let secret: [u8; SECRET_BYTES] = random::bytes();
    AccessKeyRecord {
        id: AccessKeyId(id),
        secret: Secret::new(BASE64.encode(secret)),
        account: account.clone(),
        created: Timestamp::now(),
    }
}

fn random_account_id() -> Result<AccountId, ControlError> {
    // The bias of the remainder is below one in 10^7, and ids are no secrets.
    let number = u64::from_le_bytes(random::bytes()) % 10u64.pow(ACCOUNT_DIGITS);
    format!("{number:012}").try_into().map_err(internal)
}
