//! Aliases: made, changed, read, listed and deleted.
//!
//! An alias may name a version that is still `Pending`. Until that is ready, the
//! version that was served before goes on serving, and so it does for good if the
//! new one fails: a deployment that moves an alias at once breaks nobody.

use crate::error::stale_revision;
use crate::records::{CONFLICT_TRIES_MAX, Stored};
use crate::service::ControlService;
use hearth_services::control::{Alias, ControlError, CreateAlias, Page, UpdateAlias};
use hearth_services::keys::{self, AliasRecord, FunctionRecord};
use hearth_services::metastore::Txn;
use hearth_types::{
    ALIASES_MAX, AccountId, AliasName, FunctionName, FunctionVersion, RevisionId, State, Version,
    Weight,
};
use std::ops::Bound;

/// Most items in one page, as in AWS; callers may ask for fewer.
const PAGE_ITEMS_MAX: usize = 50;

impl ControlService {
    pub(crate) async fn add_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: CreateAlias,
    ) -> Result<Alias, ControlError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let function = self.existing(account, name).await?;
            if function.record.aliases.contains_key(&request.name) {
                return Err(ControlError::AliasExists(name.clone(), request.name));
            }
            if function.record.aliases.len() >= ALIASES_MAX {
                return Err(ControlError::Invalid(format!(
                    "A function may have at most {ALIASES_MAX} aliases."
                )));
            }
            let record = AliasRecord {
                description: request.description.clone(),
                revision: RevisionId::new(),
                version: request.version,
                additional: request.additional,
                before: None,
            };
            let named = self.named(account, name, &record).await?;
            let alias = Alias { name: request.name.clone(), record };
            if self.put_alias(account, name, function, &alias, &named).await? {
                return Ok(alias);
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }

    pub(crate) async fn change_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
        request: UpdateAlias,
    ) -> Result<Alias, ControlError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let function = self.existing(account, name).await?;
            let old = find(&function.record, name, alias)?;
            if request.if_revision.is_some_and(|wanted| wanted != old.revision) {
                return Err(stale_revision());
            }
            let mut record = old.clone();
            record.revision = RevisionId::new();
            record.version = request.version.unwrap_or(old.version);
            record.additional = request.additional.unwrap_or(old.additional);
            if let Some(description) = &request.description {
                record.description.clone_from(description);
            }
            let named = self.named(account, name, &record).await?;
            if record.version != old.version {
                record.before = match is_ready(&named[0]) {
                    true => None,
                    false => self.served(account, name, old).await?,
                };
            }
            let alias = Alias { name: alias.clone(), record };
            if self.put_alias(account, name, function, &alias, &named).await? {
                return Ok(alias);
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }

    pub(crate) async fn remove_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<(), ControlError> {
        for _ in 0..CONFLICT_TRIES_MAX {
            let mut function = self.existing(account, name).await?;
            if function.record.aliases.remove(alias).is_none() {
                return Ok(());
            }
            let key = keys::function(account, name);
            let txn = Txn::new()
                .unchanged(key.clone(), function.revision)
                .put(key, keys::encode(&function.record));
            if self.records.commit(txn).await? {
                return Ok(());
            }
        }
        Err(ControlError::UpdateInProgress(name.clone()))
    }

    pub(crate) async fn read_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<Alias, ControlError> {
        let function = self.existing(account, name).await?;
        let record = find(&function.record, name, alias)?.clone();
        Ok(Alias { name: alias.clone(), record })
    }

    pub(crate) async fn page_of_aliases(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<Version>,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<Alias>, ControlError> {
        let bad_marker = |_| ControlError::Invalid("Invalid pagination token".to_owned());
        // The last name of the page before.
        let after = marker.map(AliasName::try_from).transpose().map_err(bad_marker)?;
        let aliases = self.existing(account, name).await?.record.aliases;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = |record: &AliasRecord| {
            let additional = record.additional.map(|(additional, _)| additional);
            version.is_none_or(|v| record.version == v || additional == Some(v))
        };
        let mut rest = aliases
            .range((start, Bound::Unbounded))
            .filter(|(_, record)| names(record))
            .map(|(name, record)| Alias { name: name.clone(), record: record.clone() });
        let items: Vec<_> = rest.by_ref().take(max_items.clamp(1, PAGE_ITEMS_MAX)).collect();
        let more = rest.next().is_some();
        let next_marker = items.last().filter(|_| more).map(|last| last.name.to_string());
        Ok(Page { items, next_marker })
    }

    /// The aliases that a version cannot be deleted from under.
    pub(crate) async fn aliases_of(
        &self,
        account: &AccountId,
        name: &FunctionName,
        function: &FunctionRecord,
        version: Version,
    ) -> Result<Vec<String>, ControlError> {
        let mut found = Vec::new();
        for (alias, record) in &function.aliases {
            let additional = record.additional.map(|(additional, _)| additional);
            let serves_meanwhile = record.before == Some(version)
                && self.served(account, name, record).await? == Some(version);
            if record.version == version || additional == Some(version) || serves_meanwhile {
                found.push(alias.to_string());
            }
        }
        Ok(found)
    }

    async fn existing(
        &self,
        account: &AccountId,
        name: &FunctionName,
    ) -> Result<Stored<FunctionRecord>, ControlError> {
        let function = self.records.function(account, name).await?;
        function.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))
    }

    /// The version that an alias's own share of invokes goes to now, if any is ready.
    async fn served(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasRecord,
    ) -> Result<Option<Version>, ControlError> {
        let found = self.records.version(account, name, alias.version).await?;
        let ready = found.is_some_and(|found| is_ready(&found));
        Ok(if ready { Some(alias.version) } else { alias.before })
    }

    /// The records of the versions that an alias is to name, its own first.
    async fn named(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasRecord,
    ) -> Result<Vec<Stored<FunctionVersion>>, ControlError> {
        check_routing(alias.version, alias.additional)?;
        let mut named = Vec::new();
        let additional = alias.additional.map(|(additional, _)| additional);
        for version in [alias.version].into_iter().chain(additional) {
            let found = self.records.version(account, name, version).await?;
            let found =
                found.ok_or_else(|| ControlError::VersionNotFound(name.clone(), version))?;
            named.push(found);
        }
        Ok(named)
    }

    /// Requires that the versions are still there: whoever deletes one requires that
    /// the function's record is unchanged, and this changes it.
    async fn put_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        mut function: Stored<FunctionRecord>,
        alias: &Alias,
        named: &[Stored<FunctionVersion>],
    ) -> Result<bool, ControlError> {
        let moved = function.record.aliases.get(&alias.name).map(|old| old.version)
            != Some(alias.record.version);
        if moved && named[0].record.state == State::Failed {
            return Err(ControlError::Conflict(
                "The operation cannot be performed at this time. The function is currently in \
                 the following state: Failed"
                    .to_owned(),
            ));
        }
        function.record.aliases.insert(alias.name.clone(), alias.record.clone());
        let key = keys::function(account, name);
        let txn = Txn::new()
            .unchanged(key.clone(), function.revision)
            .put(key, keys::encode(&function.record));
        let txn = named.iter().fold(txn, |txn, stored| {
            let version = keys::version(account, name, stored.record.key.version);
            txn.unchanged(version, stored.revision)
        });
        self.records.commit(txn).await
    }
}

fn is_ready(version: &Stored<FunctionVersion>) -> bool {
    version.record.is_ready()
}

fn find<'f>(
    function: &'f FunctionRecord,
    name: &FunctionName,
    alias: &AliasName,
) -> Result<&'f AliasRecord, ControlError> {
    let not_found = || ControlError::AliasNotFound(name.clone(), alias.clone());
    function.aliases.get(alias).ok_or_else(not_found)
}

/// AWS's rules for an alias of two versions.
fn check_routing(
    version: Version,
    additional: Option<(Version, Weight)>,
) -> Result<(), ControlError> {
    match additional {
        None => Ok(()),
        Some((additional, _)) if additional == version => Err(ControlError::Invalid(format!(
            "Invalid function version {version}. Function version {version} is already included \
             in routing configuration."
        ))),
        Some(_) if version == Version::Latest => Err(ControlError::Invalid(
            "$LATEST is not supported for an alias pointing to more than 1 version".to_owned(),
        )),
        Some(_) => Ok(()),
    }
}
