//! `GetFunction`, `ListFunctions` and `ListVersionsByFunction`.

use crate::marker::Marker;
use crate::service::ControlService;
use hearth_services::control::{ControlError, FunctionWithTags, Page};
use hearth_services::keys::{self, FunctionRecord};
use hearth_types::{AccountId, FunctionName, FunctionVersion, Version};

/// Most items in one page, as in AWS; callers may ask for fewer.
const PAGE_ITEMS_MAX: usize = 50;

impl ControlService {
    pub(crate) async fn read_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Version,
    ) -> Result<FunctionWithTags, ControlError> {
        let function = self.records.function(account, name).await?;
        let function = function.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))?;
        let found = self.records.version(account, name, version).await?;
        let found = found.ok_or_else(|| ControlError::VersionNotFound(name.clone(), version))?;
        Ok(FunctionWithTags { version: found.record, tags: function.record.tags })
    }

    /// Walks functions in name order, so that versions whose function is gone
    /// are never seen.
    pub(crate) async fn page_of_functions(
        &self,
        account: &AccountId,
        all_versions: bool,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError> {
        let marker = marker.as_deref().map(Marker::decode).transpose()?;
        // One more than fits tells whether there is a next page.
        let wanted = max_items.clamp(1, PAGE_ITEMS_MAX) + 1;
        let mut items = Vec::new();
        let mut after = marker.as_ref().map(|m| keys::function(account, &m.name));
        if let (Some(marker), true) = (&marker, all_versions)
            && self.records.function(account, &marker.name).await?.is_some()
        {
            self.versions_after(account, &marker.name, Some(marker.version), wanted, &mut items)
                .await?;
        }
        while items.len() < wanted {
            let prefix = keys::functions_of(account);
            let limit = wanted - items.len();
            let page =
                self.records.list::<FunctionRecord>(&prefix, after.as_deref(), limit).await?;
            for (key, _) in &page {
                let Some(name) = key.strip_prefix(&prefix).and_then(|n| n.parse().ok()) else {
                    continue;
                };
                if all_versions {
                    self.versions_after(account, &name, None, wanted, &mut items).await?;
                } else if let Some(latest) =
                    self.records.version(account, &name, Version::Latest).await?
                {
                    items.push(latest.record);
                }
            }
            if page.len() < limit {
                break;
            }
            after = page.into_iter().last().map(|(key, _)| key);
        }
        Ok(page_of(items, wanted - 1))
    }

    pub(crate) async fn page_of_versions(
        &self,
        account: &AccountId,
        name: &FunctionName,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError> {
        let marker = marker.as_deref().map(Marker::decode).transpose()?;
        if self.records.function(account, name).await?.is_none() {
            return Err(ControlError::FunctionNotFound(name.clone()));
        }
        let wanted = max_items.clamp(1, PAGE_ITEMS_MAX) + 1;
        let mut items = Vec::new();
        self.versions_after(account, name, marker.map(|m| m.version), wanted, &mut items).await?;
        Ok(page_of(items, wanted - 1))
    }

    /// Appends versions of one function, until `items` has `wanted`.
    async fn versions_after(
        &self,
        account: &AccountId,
        name: &FunctionName,
        after: Option<Version>,
        wanted: usize,
        items: &mut Vec<FunctionVersion>,
    ) -> Result<(), ControlError> {
        let after = after.map(|version| keys::version(account, name, version));
        let prefix = keys::versions_of(account, name);
        let limit = wanted.saturating_sub(items.len());
        let found = self.records.list(&prefix, after.as_deref(), limit).await?;
        items.extend(found.into_iter().map(|(_, version)| version));
        Ok(())
    }
}

fn page_of(mut items: Vec<FunctionVersion>, size: usize) -> Page<FunctionVersion> {
    let more = items.len() > size;
    items.truncate(size);
    let marker = |last: &FunctionVersion| {
        Marker { name: last.key.function.clone(), version: last.key.version }.encode()
    };
    let next_marker = if more { items.last().map(marker) } else { None };
    Page { items, next_marker }
}
