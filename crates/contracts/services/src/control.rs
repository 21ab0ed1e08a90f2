//! Control: makes, changes, publishes and deletes functions, and keeps accounts.
//!
//! The front end has authenticated the caller and validated every field before
//! it calls; control checks what needs the store (existence, conflicts) and
//! what needs the bytes (the code package).

use crate::keys::{AccessKeyRecord, AccountRecord, AliasRecord};
use async_trait::async_trait;
use bytes::Bytes;
use hearth_types::{
    AccountId, AliasName, EphemeralStorageMb, FunctionName, FunctionVersion, MemoryMb, RevisionId,
    Runtime, SnapStart, TimeoutS, Version, Weight,
};
use std::collections::BTreeMap;

/// A validated `CreateFunction`.
#[derive(Clone, Debug)]
pub struct CreateFunction {
    /// The name.
    pub name: FunctionName,
    /// The region that the caller signed for.
    pub region: String,
    /// The runtime.
    pub runtime: Runtime,
    /// The handler.
    pub handler: String,
    /// Everything else.
    pub settings: FunctionSettings,
    /// The zip archive.
    pub zip: Bytes,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Publish version 1 at once.
    pub publish: bool,
}

/// The settings of a function that a caller names; what is `None` stays as it is,
/// or as it is by default.
#[derive(Clone, Debug, Default)]
pub struct FunctionSettings {
    /// Free text.
    pub description: Option<String>,
    /// The role's ARN.
    pub role: Option<String>,
    /// The runtime.
    pub runtime: Option<Runtime>,
    /// The handler.
    pub handler: Option<String>,
    /// Memory.
    pub memory: Option<MemoryMb>,
    /// Timeout.
    pub timeout: Option<TimeoutS>,
    /// Size of `/tmp`.
    pub ephemeral_storage: Option<EphemeralStorageMb>,
    /// Variables; replaces all of them.
    pub environment: Option<BTreeMap<String, String>>,
    /// Log group.
    pub log_group: Option<String>,
    /// Whether published versions start from a snapshot.
    pub snap_start: Option<SnapStart>,
}

impl FunctionSettings {
    /// Gives `version` what is named.
    pub fn apply(&self, version: &mut FunctionVersion) {
        fn set<T: Clone>(field: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        set(&mut version.description, &self.description);
        set(&mut version.role, &self.role);
        set(&mut version.runtime, &self.runtime);
        set(&mut version.handler, &self.handler);
        set(&mut version.memory, &self.memory);
        set(&mut version.timeout, &self.timeout);
        set(&mut version.ephemeral_storage, &self.ephemeral_storage);
        set(&mut version.environment, &self.environment);
        set(&mut version.logging.log_group, &self.log_group);
        set(&mut version.snap_start, &self.snap_start);
    }
}

/// A validated `UpdateFunctionConfiguration`.
#[derive(Clone, Debug, Default)]
pub struct UpdateSettings {
    /// What changes.
    pub settings: FunctionSettings,
    /// Change only if this is the current revision.
    pub if_revision: Option<RevisionId>,
}

/// A validated `UpdateFunctionCode`.
#[derive(Clone, Debug)]
pub struct UpdateCode {
    /// The zip archive.
    pub zip: Bytes,
    /// Publish a version of the result.
    pub publish: bool,
    /// Check everything, change nothing.
    pub dry_run: bool,
    /// Change only if this is the current revision.
    pub if_revision: Option<RevisionId>,
}

/// A validated `PublishVersion`.
#[derive(Clone, Debug, Default)]
pub struct PublishVersion {
    /// The version's own description; else `$LATEST`'s.
    pub description: Option<String>,
    /// Publish only if the code is this one.
    pub if_code_sha256: Option<String>,
    /// Publish only if this is the current revision.
    pub if_revision: Option<RevisionId>,
}

/// A validated `CreateAlias`.
#[derive(Clone, Debug)]
pub struct CreateAlias {
    /// The name.
    pub name: AliasName,
    /// The version that it is to name.
    pub version: Version,
    /// Free text.
    pub description: String,
    /// A second version, and its share of invokes.
    pub additional: Option<(Version, Weight)>,
}

/// A validated `UpdateAlias`; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct UpdateAlias {
    /// The version that it is to name.
    pub version: Option<Version>,
    /// Free text.
    pub description: Option<String>,
    /// A second version and its share of invokes, or that there is to be none.
    pub additional: Option<Option<(Version, Weight)>>,
    /// Change only if this is the alias's current revision.
    pub if_revision: Option<RevisionId>,
}

/// An alias.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The name.
    pub name: AliasName,
    /// What it names.
    pub record: AliasRecord,
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, in name or version order.
    pub items: Vec<T>,
    /// Where the next page starts, if there is one. Opaque.
    pub next_marker: Option<String>,
}

/// A function and its tags, for `GetFunction`.
#[derive(Clone, Debug)]
pub struct FunctionWithTags {
    /// The version asked for.
    pub version: FunctionVersion,
    /// The function's tags.
    pub tags: BTreeMap<String, String>,
}

/// Use of an account, for `GetAccountSettings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountUsage {
    /// Functions.
    pub functions: u64,
    /// Code of all their versions together.
    pub code_bytes: u64,
}

/// Why control refused. `Display` is text for the user, except where a function
/// is named: the front end says its ARN, in the region that the caller speaks of.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such function.
    #[error("function not found: {0}")]
    FunctionNotFound(FunctionName),
    /// There is no such version of an existing function.
    #[error("version not found: {0}:{1}")]
    VersionNotFound(FunctionName, Version),
    /// There is no such alias of an existing function.
    #[error("alias not found: {0}:{1}")]
    AliasNotFound(FunctionName, AliasName),
    /// The alias's name is taken.
    #[error("alias already exists: {0}:{1}")]
    AliasExists(FunctionName, AliasName),
    /// The name is taken.
    #[error("Function already exist: {0}")]
    FunctionExists(FunctionName),
    /// Others changed the function each time this call was about to.
    #[error("an update is in progress: {0}")]
    UpdateInProgress(FunctionName),
    /// Something else is in the way.
    #[error("{0}")]
    Conflict(String),
    /// `RevisionId` or `CodeSha256` is not the current one.
    #[error("{0}")]
    PreconditionFailed(String),
    /// The code package is not acceptable, or too large once unzipped.
    #[error("{0}")]
    BadCode(String),
    /// The account's code storage is full.
    #[error("{0}")]
    CodeTooLarge(String),
    /// A value is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// AWS has it, this server does not.
    #[error("{0}")]
    Unsupported(String),
    /// This server has no guest image of the runtime.
    #[error("{}", runtime_not_built(*.0))]
    RuntimeNotBuilt(Runtime),
    /// A store or the disk failed; nothing was acknowledged. The source is for
    /// the operator's log, never for the user.
    #[error("internal failure")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a user is told who wants a runtime that has no guest image, and is to
/// tell the server's operator.
pub fn runtime_not_built(runtime: Runtime) -> String {
    format!(
        "This server has no guest image of {runtime}: `hearth images build` makes it, and the \
         next `hearth up` uses it."
    )
}

/// Function management. Every call is scoped to one account, whose walls it
/// cannot see over. An acknowledged change is durable.
#[async_trait]
pub trait Control: Send + Sync {
    /// Makes a function. The returned version may be `Pending`.
    async fn create_function(
        &self,
        account: &AccountId,
        request: CreateFunction,
    ) -> Result<FunctionVersion, ControlError>;

    /// Reads one version with the function's tags.
    async fn get_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Version,
    ) -> Result<FunctionWithTags, ControlError>;

    /// `$LATEST` of each function (or every version), in name order.
    async fn list_functions(
        &self,
        account: &AccountId,
        all_versions: bool,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError>;

    /// The versions of one function, `$LATEST` first.
    async fn list_versions(
        &self,
        account: &AccountId,
        name: &FunctionName,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<FunctionVersion>, ControlError>;

    /// Replaces `$LATEST`'s code.
    async fn update_code(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: UpdateCode,
    ) -> Result<FunctionVersion, ControlError>;

    /// Changes `$LATEST`'s settings.
    async fn update_settings(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: UpdateSettings,
    ) -> Result<FunctionVersion, ControlError>;

    /// Freezes `$LATEST` as the next number; returns the newest version
    /// unchanged if nothing changed since it was published. With `SnapStart` it is
    /// `Pending` until its snapshot is built, and may end `Failed`.
    async fn publish_version(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: PublishVersion,
    ) -> Result<FunctionVersion, ControlError>;

    /// Names a version. One that is `Pending` may be named; what serves until it is
    /// ready is in the alias's record.
    async fn create_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        request: CreateAlias,
    ) -> Result<Alias, ControlError>;

    /// Changes what an alias names.
    async fn update_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
        request: UpdateAlias,
    ) -> Result<Alias, ControlError>;

    /// Reads an alias.
    async fn get_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<Alias, ControlError>;

    /// The aliases of a function, or those that name one version, in name order.
    async fn list_aliases(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<Version>,
        marker: Option<String>,
        max_items: usize,
    ) -> Result<Page<Alias>, ControlError>;

    /// Deletes an alias; an absent one is no error.
    async fn delete_alias(
        &self,
        account: &AccountId,
        name: &FunctionName,
        alias: &AliasName,
    ) -> Result<(), ControlError>;

    /// Deletes the function with its aliases, or one published version of it that no
    /// alias names.
    async fn delete_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<Version>,
    ) -> Result<(), ControlError>;

    /// Adds or replaces tags.
    async fn tag(
        &self,
        account: &AccountId,
        name: &FunctionName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ControlError>;

    /// Removes tags; absent ones are no error.
    async fn untag(
        &self,
        account: &AccountId,
        name: &FunctionName,
        keys: Vec<String>,
    ) -> Result<(), ControlError>;

    /// How much an account uses.
    async fn account_usage(&self, account: &AccountId) -> Result<AccountUsage, ControlError>;
}

/// Account management: the operator's, never reachable over the public API.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Makes an account with one access key.
    async fn create(&self, name: String) -> Result<(AccountRecord, AccessKeyRecord), ControlError>;
    /// All accounts, each with its keys' public halves.
    async fn list(&self) -> Result<Vec<(AccountRecord, Vec<String>)>, ControlError>;
    /// Makes a new access key for an account and revokes all older ones.
    async fn rotate_key(&self, account: &AccountId) -> Result<AccessKeyRecord, ControlError>;
}
