//! A control that only keeps records: no package is opened, no image is built.

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use hearth_chunk_store::{ChunkStore, Owner};
use hearth_services::control::*;
use hearth_services::keys::{self, AliasRecord, FunctionRecord};
use hearth_services::metastore::{MetaStore, Txn, TxnOutcome};
use hearth_types::*;
use sha2::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The fake.
pub struct FakeControl {
    pub store: Arc<dyn MetaStore>,
    pub code: ChunkStore,
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> ControlError {
    ControlError::Internal(Box::new(error))
}

impl FakeControl {
    async fn load<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<T>, ControlError> {
        let found = self.store.get(key).await.map_err(internal)?;
        found.map(|v| keys::decode(&v.value).map_err(internal)).transpose()
    }

    async fn version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Version,
    ) -> Result<FunctionVersion, ControlError> {
        let found = self.load(&keys::version(account, name, version)).await?;
        found.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))
    }

    async fn save(&self, version: &FunctionVersion) -> Result<(), ControlError> {
        let key = keys::version(&version.key.account, &version.key.function, version.key.version);
        self.store.transact(Txn::new().put(key, keys::encode(version))).await.map_err(internal)?;
        Ok(())
    }

    async fn store_zip(
        &self,
        account: &AccountId,
        zip: bytes::Bytes,
    ) -> Result<CodeLocation, ControlError> {
        if !zip.starts_with(b"PK") {
            return Err(ControlError::BadCode(
                "Could not unzip uploaded file. Please check your file, then try to upload again."
                    .into(),
            ));
        }
        let digest = sha2::Sha256::digest(&zip);
        let size = zip.len() as u64;
        let file =
            self.code.write(&Owner::Unknown(account.clone()), zip).await.map_err(internal)?;
        Ok(CodeLocation {
            zip_sha256_base64: STANDARD.encode(digest),
            zip_bytes: size,
            zip_file: file.id.to_string(),
            image_file: String::new(),
            image_bytes: 0,
        })
    }

    async fn function(
        &self,
        account: &AccountId,
        name: &FunctionName,
    ) -> Result<FunctionRecord, ControlError> {
        let found = self.load(&keys::function(account, name)).await?;
        found.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))
    }

    async fn save_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        record: &FunctionRecord,
    ) -> Result<(), ControlError> {
        let txn = Txn::new().put(keys::function(account, name), keys::encode(record));
        self.store.transact(txn).await.map_err(internal)?;
        Ok(())
    }

    async fn all(&self, prefix: &str) -> Result<Vec<FunctionVersion>, ControlError> {
        let (found, _) = self.store.list(prefix, None, 10_000).await.map_err(internal)?;
        found.iter().map(|(_, v)| keys::decode(&v.value).map_err(internal)).collect()
    }

    async fn check_revision(
        &self,
        current: &FunctionVersion,
        wanted: Option<RevisionId>,
    ) -> Result<(), ControlError> {
        match wanted {
            Some(wanted) if wanted != current.key.revision => Err(ControlError::PreconditionFailed(
                "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id".into(),
            )),
            _ => Ok(()),
        }
    }
}

fn page(
    mut items: Vec<FunctionVersion>,
    marker: Option<String>,
    max_items: usize,
) -> Page<FunctionVersion> {
    let start = marker.and_then(|m| m.parse().ok()).unwrap_or(0).min(items.len());
    let mut items = items.split_off(start);
    let more = items.len() > max_items;
    items.truncate(max_items);
    Page { items, next_marker: more.then(|| (start + max_items).to_string()) }
}

#[async_trait]
impl Control for FakeControl {
    async fn create_function(
        &self,
        account: &AccountId,
        r: CreateFunction,
    ) -> Result<FunctionVersion, ControlError> {
        match r.handler.as_str() {
            "runtime.unbuilt" => return Err(ControlError::RuntimeNotBuilt(r.runtime)),
            "storage.full" => return Err(ControlError::CodeTooLarge("full".to_owned())),
            _ => {}
        }
        let code = self.store_zip(account, r.zip).await?;
        let key = VersionKey {
            account: account.clone(),
            function: r.name.clone(),
            version: Version::Latest,
            revision: RevisionId::new(),
        };
        let mut version = FunctionVersion::with_defaults(key, r.region, r.runtime, r.handler, code);
        r.settings.apply(&mut version);
        let record = FunctionRecord { tags: r.tags, next_version: 1, aliases: BTreeMap::new() };
        let key = keys::function(account, &r.name);
        let txn = Txn::new()
            .absent(key.clone())
            .put(key, keys::encode(&record))
            .put(keys::version(account, &r.name, Version::Latest), keys::encode(&version));
        match self.store.transact(txn).await.map_err(internal)? {
            TxnOutcome::Conflict => return Err(ControlError::FunctionExists(r.name)),
            TxnOutcome::Committed(_) => {}
        }
        if r.publish {
            version = self.publish_version(account, &r.name, PublishVersion::default()).await?;
        }
        Ok(version)
    }

    async fn get_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Version,
    ) -> Result<FunctionWithTags, ControlError> {
        let version = self.version(account, name, version).await?;
        let record: Option<FunctionRecord> = self.load(&keys::function(account, name)).await?;
        Ok(FunctionWithTags { version, tags: record.map(|r| r.tags).unwrap_or_default() })
    }

    async fn list_functions(
        &self,
        account: &AccountId,
        all_versions: bool,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError> {
        let mut found = self.all(&format!("{}{account}/", keys::VERSIONS)).await?;
        found.retain(|v| all_versions || v.key.version == Version::Latest);
        Ok(page(found, marker, max_items))
    }

    async fn list_versions(
        &self,
        account: &AccountId,
        name: &FunctionName,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError> {
        let found = self.all(&keys::versions_of(account, name)).await?;
        if found.is_empty() {
            return Err(ControlError::FunctionNotFound(name.clone()));
        }
        Ok(page(found, marker, max_items))
    }

    async fn update_code(
        &self,
        account: &AccountId,
        name: &FunctionName,
        r: UpdateCode,
    ) -> Result<FunctionVersion, ControlError> {
        let mut version = self.version(account, name, Version::Latest).await?;
        self.check_revision(&version, r.if_revision).await?;
        version.code = self.store_zip(account, r.zip).await?;
        version.key.revision = RevisionId::new();
        if !r.dry_run {
            self.save(&version).await?;
        }
        if r.publish {
            return self.publish_version(account, name, PublishVersion::default()).await;
        }
        Ok(version)
    }

    async fn update_settings(
        &self,
        account: &AccountId,
        name: &FunctionName,
        r: UpdateSettings,
    ) -> Result<FunctionVersion, ControlError> {
        let mut v = self.version(account, name, Version::Latest).await?;
        self.check_revision(&v, r.if_revision).await?;
        r.settings.apply(&mut v);
        v.key.revision = RevisionId::new();
        self.save(&v).await?;
        Ok(v)
    }

    async fn publish_version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        r: PublishVersion,
    ) -> Result<FunctionVersion, ControlError> {
        let mut version = self.version(account, name, Version::Latest).await?;
        self.check_revision(&version, r.if_revision).await?;
        let mut record: FunctionRecord =
            self.load(&keys::function(account, name)).await?.expect("written with the version");
        version.key.version = Version::Published(record.next_version);
        version.description = r.description.unwrap_or(version.description);
        record.next_version += 1;
        let txn = Txn::new()
            .put(keys::function(account, name), keys::encode(&record))
            .put(keys::version(account, name, version.key.version), keys::encode(&version));
        self.store.transact(txn).await.map_err(internal)?;
        Ok(version)
    }

    async fn create_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        r: CreateAlias,
    ) -> Result<Alias, ControlError> {
        let mut function = self.function(account, name).await?;
        if function.aliases.contains_key(&r.name) {
            return Err(ControlError::AliasExists(name.clone(), r.name));
        }
        let record = AliasRecord {
            description: r.description,
            revision: RevisionId::new(),
            version: r.version,
            additional: r.additional,
            before: None,
        };
        function.aliases.insert(r.name.clone(), record.clone());
        self.save_function(account, name, &function).await?;
        Ok(Alias { name: r.name, record })
    }

    async fn update_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
        r: UpdateAlias,
    ) -> Result<Alias, ControlError> {
        let mut function = self.function(account, name).await?;
        let mut record = self.get_alias(account, name, alias).await?.record;
        record.before = Some(record.version);
        record.version = r.version.unwrap_or(record.version);
        record.additional = r.additional.unwrap_or(record.additional);
        function.aliases.insert(alias.clone(), record.clone());
        self.save_function(account, name, &function).await?;
        Ok(Alias { name: alias.clone(), record })
    }

    async fn get_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<Alias, ControlError> {
        let found = self.function(account, name).await?.aliases.remove(alias);
        let not_found = || ControlError::AliasNotFound(name.clone(), alias.clone());
        Ok(Alias { name: alias.clone(), record: found.ok_or_else(not_found)? })
    }

    async fn list_aliases(
        &self,
        account: &AccountId,
        name: &FunctionName,
        _: Option<Version>,
        _: Option<String>,
        _: usize,
    ) -> Result<Page<Alias>, ControlError> {
        let aliases = self.function(account, name).await?.aliases.into_iter();
        let items = aliases.map(|(name, record)| Alias { name, record }).collect();
        Ok(Page { items, next_marker: None })
    }

    async fn delete_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<(), ControlError> {
        let mut function = self.function(account, name).await?;
        function.aliases.remove(alias);
        self.save_function(account, name, &function).await
    }

    async fn delete_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<Version>,
    ) -> Result<(), ControlError> {
        let function = keys::function(account, name);
        if self.load::<FunctionRecord>(&function).await?.is_none() {
            return Err(ControlError::FunctionNotFound(name.clone()));
        }
        // Published versions stay, as the last ones of very many do for a while.
        let gone = version.unwrap_or(Version::Latest);
        let mut txn = Txn::new().delete(keys::version(account, name, gone));
        if version.is_none() {
            txn = txn.delete(function);
        }
        self.store.transact(txn).await.map_err(internal)?;
        Ok(())
    }

    async fn tag(
        &self,
        account: &AccountId,
        name: &FunctionName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ControlError> {
        let key = keys::function(account, name);
        let record: Option<FunctionRecord> = self.load(&key).await?;
        let mut record = record.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))?;
        record.tags.extend(tags);
        self.store.transact(Txn::new().put(key, keys::encode(&record))).await.map_err(internal)?;
        Ok(())
    }

    async fn untag(
        &self,
        account: &AccountId,
        name: &FunctionName,
        untag: Vec<String>,
    ) -> Result<(), ControlError> {
        let key = keys::function(account, name);
        let record: Option<FunctionRecord> = self.load(&key).await?;
        let mut record = record.ok_or_else(|| ControlError::FunctionNotFound(name.clone()))?;
        record.tags.retain(|k, _| !untag.contains(k));
        self.store.transact(Txn::new().put(key, keys::encode(&record))).await.map_err(internal)?;
        Ok(())
    }

    async fn account_usage(&self, account: &AccountId) -> Result<AccountUsage, ControlError> {
        let found = self.all(&format!("{}{account}/", keys::VERSIONS)).await?;
        Ok(AccountUsage {
            functions: found.iter().filter(|v| v.key.version == Version::Latest).count() as u64,
            code_bytes: found.iter().map(|v| v.code.zip_bytes).sum(),
        })
    }
}
