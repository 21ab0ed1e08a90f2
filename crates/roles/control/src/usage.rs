//! How much of its quotas an account uses.

use crate::service::ControlService;
use hearth_services::control::{AccountUsage, ControlError};
use hearth_services::keys::{self, FunctionRecord};
use hearth_types::{ACCOUNT_CODE_BYTES_MAX, AccountId, FunctionVersion};

impl ControlService {
    pub(crate) async fn usage(&self, account: &AccountId) -> Result<AccountUsage, ControlError> {
        let mut usage = AccountUsage { functions: 0, code_bytes: 0 };
        let functions = keys::functions_of(account);
        self.records.walk::<FunctionRecord>(&functions, |_, _| usage.functions += 1).await?;
        let versions = keys::versions_of_account(account);
        let mut add = |version: FunctionVersion| usage.code_bytes += version.code.zip_bytes;
        self.records.walk(&versions, |_, version| add(version)).await?;
        Ok(usage)
    }

    /// Refuses `added` bytes of code if the account's quota would be exceeded.
    /// Calls that run at the same time may overshoot it by their own sizes.
    pub(crate) async fn check_code_storage(
        &self,
        account: &AccountId,
        added: u64,
    ) -> Result<(), ControlError> {
        let used = self.usage(account).await?.code_bytes;
        if used.saturating_add(added) > self.account_code_bytes_max {
            return Err(ControlError::CodeTooLarge("Code storage limit exceeded.".to_owned()));
        }
        Ok(())
    }
}

/// The quota in force unless a test sets a smaller one.
pub(crate) const CODE_BYTES_MAX: u64 = ACCOUNT_CODE_BYTES_MAX;
