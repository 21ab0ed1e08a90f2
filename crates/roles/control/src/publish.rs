//! `PublishVersion`: freezes `$LATEST` under the next number.

use crate::records::CONFLICT_TRIES_MAX;
use crate::service::ControlService;
use crate::update::check_revision;
use crate::usage::stored_bytes;
use hearth_services::control::{ControlError, PublishVersion};
use hearth_services::keys::{self, FunctionRecord};
use hearth_services::metastore::Txn;
use hearth_types::{
    AccountId, FunctionName, FunctionVersion, LastUpdateStatus, RevisionId, State, StateReasonCode,
    Timestamp, Version, VersionKey,
};

impl ControlService {
    pub(crate) async fn publish(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: PublishVersion,
    ) -> Result<FunctionVersion, ControlError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let (function, latest) = self.current(account, name).await?;
            check_revision(&latest.record, request.if_revision)?;
            check_code(&latest.record, request.if_code_sha256.as_deref())?;
            let newest = self.newest_published(account, name, &function.record).await?;
            if let Some(newest) = newest.as_ref().filter(|n| same_content(n, &latest.record)) {
                return Ok(newest.clone());
            }
            self.check_snap_start(&latest.record)?;
            self.check_code_storage(account, stored_bytes(&latest.record.code)).await?;
            let txn = Txn::new()
                .unchanged(keys::function(account, name), function.revision)
                .unchanged(keys::version(account, name, Version::Latest), latest.revision);
            let description = request.description.clone();
            let (txn, published) = add(txn, &function.record, &latest.record, newest, description);
            if self.records.commit(txn).await? {
                self.builds.published(&published);
                return Ok(published);
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }

    /// The version published last, unless it was deleted since.
    pub(crate) async fn newest_published(
        &self,
        account: &AccountId,
        name: &FunctionName,
        function: &FunctionRecord,
    ) -> Result<Option<FunctionVersion>, ControlError> {
        match function.next_version - 1 {
            0 => Ok(None),
            number => {
                let found = self.records.version(account, name, Version::Published(number)).await?;
                Ok(found.map(|stored| stored.record))
            }
        }
    }
}

/// Adds to `txn` that `latest` is published, unless `newest` is already the
/// same; the version that then is the published one.
pub(crate) fn add(
    txn: Txn,
    function: &FunctionRecord,
    latest: &FunctionVersion,
    newest: Option<FunctionVersion>,
    description: Option<String>,
) -> (Txn, FunctionVersion) {
    if let Some(newest) = newest.filter(|newest| same_content(newest, latest)) {
        return (txn, newest);
    }
    let VersionKey { account, function: name, .. } = &latest.key;
    let published = frozen(latest, function.next_version, description);
    let record = FunctionRecord { next_version: function.next_version + 1, ..function.clone() };
    let key = keys::version(account, name, published.key.version);
    let txn = txn
        .absent(key.clone())
        .put(key, keys::encode(&published))
        .put(keys::function(account, name), keys::encode(&record));
    (txn, published)
}

/// `latest` as the published version `number`.
pub(crate) fn frozen(
    latest: &FunctionVersion,
    number: u64,
    description: Option<String>,
) -> FunctionVersion {
    let mut published = latest.clone();
    published.key.version = Version::Published(number);
    published.key.revision = RevisionId::new();
    published.last_modified = Timestamp::now();
    if let Some(description) = description {
        published.description = description;
    }
    if published.snap_start.is_on() {
        published.state = State::Pending;
        published.state_reason = Some("The function is being created.".to_owned());
        published.state_reason_code = Some(StateReasonCode::Creating);
        published.last_update_status = LastUpdateStatus::InProgress;
    }
    published
}

/// Whether `newest` is what publishing `latest` would make: it runs the same code in
/// the same way. Descriptions are labels (each version may have one of its own) and do
/// not count, nor does how far its snapshot is. One that failed is no use to anybody,
/// and what failed once may not again, so publishing tries anew.
fn same_content(newest: &FunctionVersion, latest: &FunctionVersion) -> bool {
    let content = |version: &FunctionVersion| FunctionVersion {
        key: latest.key.clone(),
        description: String::new(),
        snapshot: None,
        state: latest.state,
        state_reason: None,
        state_reason_code: None,
        last_update_status: latest.last_update_status,
        last_update_reason: None,
        last_modified: latest.last_modified,
        ..version.clone()
    };
    newest.state != State::Failed && content(newest) == content(latest)
}

fn check_code(latest: &FunctionVersion, wanted: Option<&str>) -> Result<(), ControlError> {
    let current = &latest.code.zip_sha256_base64;
    match wanted {
        Some(wanted) if wanted != current => Err(ControlError::Invalid(format!(
            "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({current}). \
             Please try again with the CodeSHA256 in $LATEST."
        ))),
        _ => Ok(()),
    }
}
