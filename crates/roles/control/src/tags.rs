//! `TagResource` and `UntagResource`. Tags belong to the function, so they
//! change no version's revision.

use crate::records::CONFLICT_TRIES_MAX;
use crate::service::ControlService;
use hearth_services::control::ControlError;
use hearth_services::keys;
use hearth_services::metastore::Txn;
use hearth_types::{AccountId, FunctionName, TAGS_MAX};
use std::collections::BTreeMap;

impl ControlService {
    pub(crate) async fn change_tags(
        &self,
        account: &AccountId,
        name: &FunctionName,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), ControlError> {
        let key = keys::function(account, name);
        for _ in 0..CONFLICT_TRIES_MAX {
            let function = self.records.function(account, name).await?;
            let mut function =
                function.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))?;
            change(&mut function.record.tags);
            if function.record.tags.len() > TAGS_MAX {
                return Err(ControlError::Invalid(format!(
                    "A function may have at most {TAGS_MAX} tags."
                )));
            }
            let txn = Txn::new()
                .unchanged(key.clone(), function.revision)
                .put(key.clone(), keys::encode(&function.record));
            if self.records.commit(txn).await? {
                return Ok(());
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }
}
