//! How much of its quotas an account uses.

use crate::service::ControlService;
use hearth_services::control::{AccountUsage, ControlError};
use hearth_services::keys::{self, FunctionRecord};
use hearth_types::{ACCOUNT_CODE_BYTES_MAX, AccountId, CodeLocation, FunctionVersion};

impl ControlService {
    /// As AWS reports it: packages as they were sent.
    pub(crate) async fn usage(&self, account: &AccountId) -> Result<AccountUsage, ControlError> {
        let mut functions = 0;
        let prefix = keys::functions_of(account);
        self.records.walk::<FunctionRecord>(&prefix, |_, _| functions += 1).await?;
        let code_bytes = self.sum_of_versions(account, |code| code.zip_bytes).await?;
        Ok(AccountUsage { functions, code_bytes })
    }

    /// Refuses `added` bytes of code if the account's quota would be exceeded.
    /// Calls that run at the same time may overshoot it by their own sizes.
    pub(crate) async fn check_code_storage(
        &self,
        account: &AccountId,
        added: u64,
    ) -> Result<(), ControlError> {
        let used = self.sum_of_versions(account, stored_bytes).await?;
        if used.saturating_add(added) > self.account_code_bytes_max {
            return Err(ControlError::CodeTooLarge("Code storage limit exceeded.".to_owned()));
        }
        Ok(())
    }

    /// Refuses to store a package if what is stored for the account, named or not,
    /// leaves no room for it. Without this, packages that were replaced or
    /// refused would pile up as fast as they come, until the next sweep.
    pub(crate) async fn check_room(
        &self,
        account: &AccountId,
        zip_bytes: usize,
    ) -> Result<(), ControlError> {
        let stored = self.code.stored_bytes(account).await?;
        if stored.saturating_add(zip_bytes as u64) > self.account_code_bytes_max {
            return Err(ControlError::CodeTooLarge(
                "Code storage limit exceeded. Code that was replaced or deleted counts until it \
                 is swept, which takes some minutes."
                    .to_owned(),
            ));
        }
        Ok(())
    }

    async fn sum_of_versions(
        &self,
        account: &AccountId,
        bytes: impl Fn(&CodeLocation) -> u64 + Send,
    ) -> Result<u64, ControlError> {
        let mut total: u64 = 0;
        let mut add = |version: FunctionVersion| total += bytes(&version.code);
        self.records.walk(&keys::versions_of_account(account), |_, version| add(version)).await?;
        Ok(total)
    }
}

/// What a version's code takes: the package, and the image made of it, which a
/// package that inflates well makes a thousand times larger.
pub(crate) fn stored_bytes(code: &CodeLocation) -> u64 {
    code.zip_bytes + code.image_bytes
}

/// The quota in force unless a test sets a smaller one.
pub(crate) const CODE_BYTES_MAX: u64 = ACCOUNT_CODE_BYTES_MAX;
