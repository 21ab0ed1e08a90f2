//! `CreateFunction`.

use crate::code::StoredCode;
use crate::publish;
use crate::records::CONFLICT_TRIES_MAX;
use crate::service::ControlService;
use crate::usage::stored_bytes;
use hearth_services::control::{ControlError, CreateFunction};
use hearth_services::keys::{self, FunctionRecord};
use hearth_services::metastore::Txn;
use hearth_types::{AccountId, CodeLocation, FunctionVersion, RevisionId, Version, VersionKey};
use std::collections::BTreeMap;

/// The number of a function's first published version.
const FIRST_VERSION: u64 = 1;

impl ControlService {
    pub(crate) async fn add_function(
        &self,
        account: &AccountId,
        mut request: CreateFunction,
    ) -> Result<FunctionVersion, ControlError> {
        let name = request.name.clone();
        // Before the expensive part, so that a mistake costs nobody a build.
        if self.records.function(account, &name).await?.is_some() {
            return Err(ControlError::FunctionExists(name));
        }
        self.check_runtime(request.runtime)?;
        self.check_new_snap_start(&request)?;
        self.check_room(account, request.zip.len()).await?;
        let zip = std::mem::take(&mut request.zip);
        let mut code = self.code.store(account, zip.clone()).await?;
        let added = if request.publish { 2 } else { 1 };
        self.check_code_storage(account, added * stored_bytes(&code.location)).await?;
        for _ in 0..CONFLICT_TRIES_MAX {
            // A deletion that crashed may have left versions of this name.
            self.remove_leftovers(account, &name).await?;
            let (txn, created) = first_versions(account, &request, &code);
            if self.records.commit(txn).await? {
                self.builds.published(&created);
                return Ok(created);
            }
            if self.records.function(account, &name).await?.is_some() {
                return Err(ControlError::FunctionExists(name));
            }
            if !self.code.is_still(&code).await? {
                code = self.code.store(account, zip.clone()).await?;
            }
        }
        Err(ControlError::UpdateInProgress(name))
    }
}

/// What makes a function, and the version that it returns.
fn first_versions(
    account: &AccountId,
    request: &CreateFunction,
    code: &StoredCode,
) -> (Txn, FunctionVersion) {
    let name = &request.name;
    let latest = first_version(account, request, code.location.clone());
    let mut record = FunctionRecord {
        tags: request.tags.clone(),
        next_version: FIRST_VERSION,
        aliases: BTreeMap::new(),
    };
    let mut txn = code
        .named_in(Txn::new())
        .absent(keys::function(account, name))
        .absent(keys::version(account, name, Version::Latest))
        .put(keys::version(account, name, Version::Latest), keys::encode(&latest));
    let mut created = latest;
    if request.publish {
        created = publish::frozen(&created, FIRST_VERSION, None);
        record.next_version += 1;
        let key = keys::version(account, name, created.key.version);
        txn = txn.absent(key.clone()).put(key, keys::encode(&created));
    }
    (txn.put(keys::function(account, name), keys::encode(&record)), created)
}

fn first_version(
    account: &AccountId,
    request: &CreateFunction,
    code: CodeLocation,
) -> FunctionVersion {
    let key = VersionKey {
        account: account.clone(),
        function: request.name.clone(),
        version: Version::Latest,
        revision: RevisionId::new(),
    };
    let (region, handler) = (request.region.clone(), request.handler.clone());
    let mut version = FunctionVersion::with_defaults(key, region, request.runtime, handler, code);
    request.settings.apply(&mut version);
    version
}
