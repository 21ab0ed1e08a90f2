//! What crosses the operator's socket, as JSON.

use hearth_services::keys::{AccessKeyRecord, AccountRecord};
use hearth_types::{AccountId, Secret};
use serde::{Deserialize, Serialize};

/// A request to make an account.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    pub(super) name: String,
}

/// A key that was just made: the only moment at which its secret is shown.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct NewKey {
    /// Whom it speaks for.
    pub(crate) account: AccountId,
    /// The public half.
    pub(crate) access_key_id: String,
    /// The half that signs.
    pub(crate) secret_access_key: Secret,
}

/// An account in a listing.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AccountLine {
    /// Its id.
    pub(crate) account: AccountId,
    /// The operator's name for it.
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created: String,
    /// Public halves of its keys.
    pub(crate) access_key_ids: Vec<String>,
}

/// What went wrong, in words.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Failure {
    pub(super) message: String,
}

impl From<AccessKeyRecord> for NewKey {
    fn from(key: AccessKeyRecord) -> Self {
        Self { account: key.account, access_key_id: key.id.0, secret_access_key: key.secret }
    }
}

impl From<(AccountRecord, Vec<String>)> for AccountLine {
    fn from((account, access_key_ids): (AccountRecord, Vec<String>)) -> Self {
        Self {
            account: account.id,
            name: account.name,
            created: account.created.to_rfc3339(),
            access_key_ids,
        }
    }
}
