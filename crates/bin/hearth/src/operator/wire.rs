//! What crosses the operator's socket, as JSON.

use hearth_services::keys::{AccessKeyRecord, AccountRecord};
use hearth_snapshot_store::{PageMap, Summary};
use hearth_types::{AccountId, FunctionName, Secret, Version};
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

/// A snapshot in a listing.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SnapshotLine {
    /// What it is called.
    pub(crate) name: String,
    /// The version that it is of; a layer is of none.
    pub(crate) of: Option<VersionOf>,
    /// What it consists of, unless it is damaged.
    pub(crate) summary: Option<Summary>,
    /// How it is damaged.
    pub(crate) error: Option<String>,
}

/// A version that has a snapshot.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct VersionOf {
    /// Whose it is.
    pub(crate) account: AccountId,
    /// Its function, unless it was deleted.
    pub(crate) function: Option<FunctionName>,
    /// Its number, unless it was deleted.
    pub(crate) version: Option<Version>,
}

/// One snapshot, with all that is known of it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    pub(crate) line: SnapshotLine,
    /// The layers beneath it, the nearest first.
    pub(crate) chain: Vec<Link>,
    /// Its memory, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) map: Option<PageMap>,
}

/// A layer beneath a snapshot.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Link {
    /// What it is called.
    pub(crate) name: String,
    /// `there`, `gone` (what was shared stays), or `made anew since`.
    pub(crate) state: String,
    /// What it consists of, if it is there.
    pub(crate) summary: Option<Summary>,
}

/// What a verification found.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Verified {
    /// Snapshots whose names or records cannot be read.
    pub(crate) snapshots_damaged: Vec<String>,
    /// Chunks and manifests that were looked at.
    pub(crate) objects: u64,
    /// Those that are not what they should be.
    pub(crate) damaged: Vec<Damaged>,
    /// What could not be read for another reason.
    pub(crate) unread: Vec<String>,
}

/// A chunk or manifest that is not what it should be.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Damaged {
    /// Which.
    pub(crate) object: String,
    /// Where.
    pub(crate) level: String,
    /// `missing` or `corrupt`.
    pub(crate) what: String,
    /// It is whole again.
    pub(crate) healed: bool,
}

impl Verified {
    /// Nothing is wrong, or nothing any more.
    pub(crate) fn is_whole(&self) -> bool {
        self.snapshots_damaged.is_empty()
            && self.unread.is_empty()
            && self.damaged.iter().all(|damaged| damaged.healed)
    }
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
