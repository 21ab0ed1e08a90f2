//! `DeleteFunction`: the function, or one version of it.

use crate::records::CONFLICT_TRIES_MAX;
use crate::service::ControlService;
use hearth_services::control::ControlError;
use hearth_services::keys;
use hearth_services::metastore::{TXN_OPS_MAX, Txn};
use hearth_types::{AccountId, FunctionName, FunctionVersion, Version};

impl ControlService {
    /// Deletes the function and all its versions. Its record goes first, and
    /// with it the function: what is left then exists for nobody, and goes in
    /// further transactions, now or after a crash.
    pub(crate) async fn delete(
        &self,
        account: &AccountId,
        name: &FunctionName,
    ) -> Result<(), ControlError> {
        let record = keys::function(account, name);
        for _ in 0..CONFLICT_TRIES_MAX {
            let function = self.records.function(account, name).await?;
            let function = function.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))?;
            let mut txn =
                Txn::new().unchanged(record.clone(), function.revision).delete(record.clone());
            // All versions at once, as far as they fit beside the record.
            for key in self.version_keys(account, name, TXN_OPS_MAX - 1).await? {
                txn = txn.delete(key);
            }
            if self.records.commit(txn).await? {
                return self.remove_leftovers(account, name).await;
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }

    /// Deletes one published version; an absent one is no error, as in AWS.
    pub(crate) async fn delete_version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Version,
    ) -> Result<(), ControlError> {
        if version == Version::Latest {
            return Err(ControlError::Invalid(
                "$LATEST version cannot be deleted without deleting the function.".to_owned(),
            ));
        }
        for _ in 0..CONFLICT_TRIES_MAX {
            let function = self.records.function(account, name).await?;
            let function = function.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))?;
            let Some(found) = self.records.version(account, name, version).await? else {
                return Ok(());
            };
            let aliases = self.aliases_of(account, name, &function.record, version).await?;
            if !aliases.is_empty() {
                return Err(ControlError::Conflict(format!(
                    "Unable to delete version because the following aliases reference it: [{}]",
                    aliases.join(", ")
                )));
            }
            let key = keys::version(account, name, version);
            let txn = Txn::new()
                .unchanged(keys::function(account, name), function.revision)
                .unchanged(key.clone(), found.revision)
                .delete(key);
            if self.records.commit(txn).await? {
                return Ok(());
            }
            // Its snapshot was just built, an alias changed, or somebody else deleted it.
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }

    /// Removes versions of a function that has no record.
    pub(crate) async fn remove_leftovers(
        &self,
        account: &AccountId,
        name: &FunctionName,
    ) -> Result<(), ControlError> {
        loop {
            let versions = self.version_keys(account, name, TXN_OPS_MAX).await?;
            if versions.is_empty() {
                return Ok(());
            }
            let absent = Txn::new().absent(keys::function(account, name));
            let txn = versions.into_iter().fold(absent, Txn::delete);
            if !self.records.commit(txn).await? {
                // Somebody made it anew, and has removed them before that.
                return Ok(());
            }
        }
    }

    async fn version_keys(
        &self,
        account: &AccountId,
        name: &FunctionName,
        limit: usize,
    ) -> Result<Vec<String>, ControlError> {
        let prefix = keys::versions_of(account, name);
        let versions = self.records.list::<FunctionVersion>(&prefix, None, limit).await?;
        Ok(versions.into_iter().map(|(key, _)| key).collect())
    }
}
