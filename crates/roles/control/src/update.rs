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
        let mut code = self.code.store(account, request.zip.clone()).await?;
        let added = if request.publish { 2 } else { 1 };
        self.check_code_storage(account, added * stored_bytes(&code.location)).await?;
        for _ in 0..CONFLICT_TRIES_MAX {
            let change = |version: &mut FunctionVersion| {
                version.code = code.location.clone();
                Ok(())
            };
            let named = code.named_in(Txn::new());
            let (if_revision, publish) = (request.if_revision, request.publish);
            let changed =
                self.try_change(account, name, if_revision, publish, named, change).await?;
            if let Some(changed) = changed {
                return Ok(changed);
            }
            if !self.code.is_still(&code).await? {
                code = self.code.store(account, request.zip.clone()).await?;
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
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
        for _ in 0..CONFLICT_TRIES_MAX {
            let txn = Txn::new();
            let changed =
                self.try_change(account, name, request.if_revision, false, txn, change).await?;
            if let Some(changed) = changed {
                return Ok(changed);
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }

    /// Changes `$LATEST`, and publishes the result in the same transaction if
    /// asked to. Nothing if what `txn` requires, or what was read, was another by then.
    async fn try_change(
        &self,
        account: &AccountId,
        name: &FunctionName,
        if_revision: Option<RevisionId>,
        publish: bool,
        txn: Txn,
        change: impl Fn(&mut FunctionVersion) -> Result<(), ControlError>,
    ) -> Result<Option<FunctionVersion>, ControlError> {
        let (function, latest) = self.current(account, name).await?;
        check_revision(&latest.record, if_revision)?;
        let mut changed = latest.record;
        change(&mut changed)?;
        changed.key.revision = RevisionId::new();
        changed.last_modified = Timestamp::now();
        changed.last_update_status = LastUpdateStatus::Successful;
        changed.last_update_reason = None;

        let key = keys::version(account, name, Version::Latest);
        let txn = txn
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
            return Ok(Some(result));
        }
        Ok(None)
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
