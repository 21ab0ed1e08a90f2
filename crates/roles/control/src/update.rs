//! `UpdateFunctionCode` and `UpdateFunctionConfiguration`.

use crate::error::stale_revision;
use crate::publish;
use crate::records::{CONFLICT_TRIES_MAX, Stored};
use crate::service::ControlService;
use crate::usage::stored_bytes;
use hearth_services::control::{ControlError, UpdateCode, UpdateSettings};
use hearth_services::keys::{self, FunctionRecord};
use hearth_services::metastore::Txn;
use hearth_types::{
    AccountId, FunctionName, FunctionVersion, LastUpdateStatus, RevisionId, Timestamp, Version,
};

impl ControlService {
    /// The function's record and its `$LATEST`.
    pub(crate) async fn current(
        &self,
        account: &AccountId,
        name: &FunctionName,
    ) -> Result<(Stored<FunctionRecord>, Stored<FunctionVersion>), ControlError> {
        let not_found = || ControlError::FunctionNotFound(name.clone());
        let function = self.records.function(account, name).await?.ok_or_else(not_found)?;
        let latest = self.records.version(account, name, Version::Latest).await?;
        // Absent only if the function was deleted between the two reads.
        Ok((function, latest.ok_or_else(not_found)?))
    }

    pub(crate) async fn replace_code(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: UpdateCode,
    ) -> Result<FunctionVersion, ControlError> {
        let (_, latest) = self.current(account, name).await?;
        check_revision(&latest.record, request.if_revision)?;
        if request.dry_run {
            let mut checked = latest.record;
            checked.code = self.code.check(request.zip).await?;
            return Ok(checked);
        }
        self.check_room(account, request.zip.len()).await?;
        let code = self.code.store(account, request.zip).await?;
        let added = if request.publish { 2 } else { 1 };
        self.check_code_storage(account, added * stored_bytes(&code.location)).await?;
        let change = |version: &mut FunctionVersion| {
            version.code = code.location.clone();
            Ok(())
        };
        self.change_latest(account, name, request.if_revision, request.publish, change).await
    }

    pub(crate) async fn replace_settings(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: UpdateSettings,
    ) -> Result<FunctionVersion, ControlError> {
        if let Some(runtime) = request.settings.runtime {
            self.check_runtime(runtime)?;
        }
        let change = |version: &mut FunctionVersion| {
            request.settings.apply(version);
            self.check_snap_start(version)
        };
        self.change_latest(account, name, request.if_revision, false, change).await
    }

    /// Changes `$LATEST`, and publishes the result in the same transaction if
    /// asked to.
    async fn change_latest(
        &self,
        account: &AccountId,
        name: &FunctionName,
        if_revision: Option<RevisionId>,
        publish: bool,
        change: impl Fn(&mut FunctionVersion) -> Result<(), ControlError>,
    ) -> Result<FunctionVersion, ControlError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let (function, latest) = self.current(account, name).await?;
            check_revision(&latest.record, if_revision)?;
            let mut changed = latest.record;
            change(&mut changed)?;
            changed.key.revision = RevisionId::new();
            changed.last_modified = Timestamp::now();
            changed.last_update_status = LastUpdateStatus::Successful;
            changed.last_update_reason = None;

            let key = keys::version(account, name, Version::Latest);
            let txn = Txn::new()
                .unchanged(keys::function(account, name), function.revision)
                .unchanged(key.clone(), latest.revision)
                .put(key, keys::encode(&changed));
            let (txn, result) = if publish {
                self.check_snap_start(&changed)?;
                let newest = self.newest_published(account, name, &function.record).await?;
                publish::add(txn, &function.record, &changed, newest, None)
            } else {
                (txn, changed)
            };
            if self.records.commit(txn).await? {
                self.builds.published(&result);
                return Ok(result);
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }
}

/// Refuses a change that was meant for another state of the function.
pub(crate) fn check_revision(
    latest: &FunctionVersion,
    wanted: Option<RevisionId>,
) -> Result<(), ControlError> {
    match wanted {
        Some(wanted) if wanted != latest.key.revision => Err(stale_revision()),
        _ => Ok(()),
    }
}
