//! The service: what it needs, and the contract's calls, each of which lives
//! in a file of its own.

use crate::builds::Builds;
use crate::code::CodeStore;
use crate::error::internal;
use crate::metrics::count;
use crate::records::Records;
use crate::sweep::Package;
use crate::sweep_snapshots::Named;
use crate::usage;
use async_trait::async_trait;
use hearth_chunk_store::{ChunkStore, ManifestId, Owner};
use hearth_services::control::{
    AccountUsage, Alias, Control, ControlError, CreateAlias, CreateFunction, FunctionWithTags,
    Page, PublishVersion, UpdateAlias, UpdateCode, UpdateSettings,
};
use hearth_services::metastore::MetaStore;
use hearth_services::snapshots::Snapshots;
use hearth_types::{AccountId, AliasName, FunctionName, FunctionVersion, Runtime, Version};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long nothing must have named a package before the sweeper takes it. A
/// sandbox of the version that did may still be starting; no start takes so long.
const UNNAMED_KEPT: Duration = Duration::from_secs(10 * 60);

/// What control is built on.
pub struct ControlDeps {
    /// Functions, versions, accounts and keys.
    pub metastore: Arc<dyn MetaStore>,
    /// Code and images.
    pub chunks: ChunkStore,
    /// A directory for this service alone, on disk; emptied at start.
    pub work_dir: PathBuf,
    /// What functions can be run with here.
    pub runtimes: BTreeSet<Runtime>,
    /// Builds snapshots; none where none can be taken, and `SnapStart` is refused.
    pub snapshots: Option<Arc<dyn Snapshots>>,
}

/// Control and account management.
pub struct ControlService {
    pub(crate) records: Records,
    pub(crate) code: CodeStore,
    pub(crate) runtimes: BTreeSet<Runtime>,
    pub(crate) snapshots: Option<Arc<dyn Snapshots>>,
    pub(crate) builds: Builds,
    /// Read: snapshots are being built that nothing names yet. Write: the sweeper
    /// decides which snapshots nothing names.
    pub(crate) naming_snapshots: tokio::sync::RwLock<()>,
    pub(crate) named_snapshots: tokio::sync::Mutex<Named>,
    pub(crate) ensuring_default: tokio::sync::Mutex<()>,
    /// Packages that the last sweep found unnamed, and since when; held by a sweep.
    pub(crate) unnamed: tokio::sync::Mutex<HashMap<Package, Instant>>,
    pub(crate) unnamed_kept: Duration,
    pub(crate) account_code_bytes_max: u64,
}

impl ControlService {
    /// Builds the service. Call [`sweep`](Self::sweep) once it is up, and run
    /// [`build_snapshots`](Self::build_snapshots) as long as it serves.
    pub fn new(deps: ControlDeps) -> Result<Self, ControlError> {
        let records = Records::new(deps.metastore);
        let code = CodeStore::open(deps.chunks, records.clone(), deps.work_dir);
        Ok(Self {
            code: code.map_err(internal)?,
            records,
            runtimes: deps.runtimes,
            snapshots: deps.snapshots,
            builds: Builds::default(),
            naming_snapshots: tokio::sync::RwLock::default(),
            named_snapshots: tokio::sync::Mutex::default(),
            ensuring_default: tokio::sync::Mutex::default(),
            unnamed: tokio::sync::Mutex::default(),
            unnamed_kept: UNNAMED_KEPT,
            account_code_bytes_max: usage::CODE_BYTES_MAX,
        })
    }

    /// The files of all code packages, for collections of chunks to leave. Ask after
    /// a [`sweep`](Self::sweep).
    pub async fn code_files(&self) -> Result<BTreeSet<(Owner, ManifestId)>, ControlError> {
        self.code.files().await
    }

    /// Refuses a runtime that no function could be started with.
    pub(crate) fn check_runtime(&self, runtime: Runtime) -> Result<(), ControlError> {
        match self.runtimes.contains(&runtime) {
            true => Ok(()),
            false => Err(ControlError::RuntimeNotBuilt(runtime)),
        }
    }

    /// Sets how long unnamed code is kept. Tests use zero.
    pub fn with_unnamed_kept(mut self, unnamed_kept: Duration) -> Self {
        self.unnamed_kept = unnamed_kept;
        self
    }

    /// Sets how many bytes of code an account may keep.
    pub fn with_account_code_bytes_max(mut self, bytes: u64) -> Self {
        self.account_code_bytes_max = bytes;
        self
    }
}

#[async_trait]
impl Control for ControlService {
    async fn create_function(
        &self,
        account: &AccountId,
        request: CreateFunction,
    ) -> Result<FunctionVersion, ControlError> {
        count("create_function", self.add_function(account, request).await)
    }

    async fn get_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Version,
    ) -> Result<FunctionWithTags, ControlError> {
        self.read_function(account, name, version).await
    }

    async fn list_functions(
        &self,
        account: &AccountId,
        all_versions: bool,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError> {
        self.page_of_functions(account, all_versions, marker, max_items).await
    }

    async fn list_versions(
        &self,
        account: &AccountId,
        name: &FunctionName,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError> {
        self.page_of_versions(account, name, marker, max_items).await
    }

    async fn update_code(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: UpdateCode,
    ) -> Result<FunctionVersion, ControlError> {
        count("update_code", self.replace_code(account, name, request).await)
    }

    async fn update_settings(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: UpdateSettings,
    ) -> Result<FunctionVersion, ControlError> {
        count("update_settings", self.replace_settings(account, name, request).await)
    }

    async fn publish_version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: PublishVersion,
    ) -> Result<FunctionVersion, ControlError> {
        count("publish_version", self.publish(account, name, request).await)
    }

    async fn create_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: CreateAlias,
    ) -> Result<Alias, ControlError> {
        count("create_alias", self.add_alias(account, name, request).await)
    }

    async fn update_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
        request: UpdateAlias,
    ) -> Result<Alias, ControlError> {
        count("update_alias", self.change_alias(account, name, alias, request).await)
    }

    async fn get_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<Alias, ControlError> {
        self.read_alias(account, name, alias).await
    }

    async fn list_aliases(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<Version>,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<Alias>, ControlError> {
        self.page_of_aliases(account, name, version, marker, max_items).await
    }

    async fn delete_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<(), ControlError> {
        count("delete_alias", self.remove_alias(account, name, alias).await)
    }

    async fn delete_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<Version>,
    ) -> Result<(), ControlError> {
        let deleted = match version {
            None => self.delete(account, name).await,
            Some(version) => self.delete_version(account, name, version).await,
        };
        count("delete_function", deleted)
    }

    async fn tag(
        &self,
        account: &AccountId,
        name: &FunctionName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ControlError> {
        count("tag", self.change_tags(account, name, |all| all.extend(tags.clone())).await)
    }

    async fn untag(
        &self,
        account: &AccountId,
        name: &FunctionName,
        keys: Vec<String>,
    ) -> Result<(), ControlError> {
        let untag = |all: &mut BTreeMap<String, String>| all.retain(|key, _| !keys.contains(key));
        count("untag", self.change_tags(account, name, untag).await)
    }

    async fn account_usage(&self, account: &AccountId) -> Result<AccountUsage, ControlError> {
        self.usage(account).await
    }
}
