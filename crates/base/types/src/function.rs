//! The record of one function version: what control writes, the front end
//! caches and a worker needs to start a sandbox.

use crate::{
    AccountId, EphemeralStorageMb, FunctionArn, FunctionName, MemoryMb, RevisionId, Room, Runtime,
    SnapStart, SnapshotId, StateReasonCode, TimeoutS, Timestamp, Version,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a version can be invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Being made.
    Pending,
    /// Ready.
    Active,
    /// Was not invoked for long; unused so far.
    Inactive,
    /// Could not be made.
    Failed,
}

/// How the newest update fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastUpdateStatus {
    /// In effect.
    Successful,
    /// Could not be applied; the version before it still serves.
    Failed,
    /// Being applied.
    InProgress,
}

/// Where a version's code lies and how it is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeLocation {
    /// SHA-256 of the zip as uploaded, base64, as `CodeSha256` reports it.
    pub zip_sha256_base64: String,
    /// Size of that zip.
    pub zip_bytes: u64,
    /// The zip's manifest in the chunk store.
    pub zip_file: String,
    /// The manifest of the read-only image made of it.
    pub image_file: String,
    /// Size of that image.
    pub image_bytes: u64,
}

/// `LoggingConfig` as far as it is kept: the group that log lines go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggingConfig {
    /// `/aws/lambda/NAME` unless the user named another.
    pub log_group: String,
}

/// Names one immutable state of one version. Sandboxes are keyed by it, so an
/// update can never be served by a sandbox of the code before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionKey {
    /// The owner.
    pub account: AccountId,
    /// The function.
    pub function: FunctionName,
    /// The version.
    pub version: Version,
    /// The state of it.
    pub revision: RevisionId,
}

/// Everything that is known of one version of one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionVersion {
    /// Which one it is.
    pub key: VersionKey,
    /// The region its creator signed for; ARNs repeat it.
    pub region: String,
    /// Free text.
    pub description: String,
    /// The role's ARN: kept and returned, not assumed.
    pub role: String,
    /// The runtime.
    pub runtime: Runtime,
    /// What the runtime calls, `file.function`.
    pub handler: String,
    /// Memory, and with it CPU.
    pub memory: MemoryMb,
    /// Limit of one invocation.
    pub timeout: TimeoutS,
    /// Size of `/tmp`.
    pub ephemeral_storage: EphemeralStorageMb,
    /// The user's variables.
    pub environment: BTreeMap<String, String>,
    /// The code.
    pub code: CodeLocation,
    /// Where logs go.
    pub logging: LoggingConfig,
    /// Whether its published versions start from a snapshot. Records from before
    /// there were any have none of it.
    #[serde(default)]
    pub snap_start: SnapStart,
    /// The snapshot that its sandboxes start from: of a published version that is
    /// `Active` with `SnapStart`, and of no other.
    #[serde(default)]
    pub snapshot: Option<SnapshotId>,
    /// Ready or not.
    pub state: State,
    /// Why not, in words for the user.
    pub state_reason: Option<String>,
    /// Why not, in a word for programs.
    #[serde(default)]
    pub state_reason_code: Option<StateReasonCode>,
    /// The newest update.
    pub last_update_status: LastUpdateStatus,
    /// Why it failed, in words for the user.
    pub last_update_reason: Option<String>,
    /// When it changed last.
    pub last_modified: Timestamp,
}

impl FunctionVersion {
    /// A new function's, made now, with every setting at AWS's default.
    pub fn with_defaults(
        key: VersionKey,
        region: String,
        runtime: Runtime,
        handler: String,
        code: CodeLocation,
    ) -> Self {
        let log_group = format!("/aws/lambda/{}", key.function);
        Self {
            key,
            region,
            description: String::new(),
            role: String::new(),
            runtime,
            handler,
            memory: MemoryMb::default(),
            timeout: TimeoutS::default(),
            ephemeral_storage: EphemeralStorageMb::default(),
            environment: BTreeMap::new(),
            code,
            logging: LoggingConfig { log_group },
            snap_start: SnapStart::default(),
            snapshot: None,
            state: State::Active,
            state_reason: None,
            state_reason_code: None,
            last_update_status: LastUpdateStatus::Successful,
            last_update_reason: None,
            last_modified: Timestamp::now(),
        }
    }

    /// Whether it can be invoked.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Active | State::Inactive)
    }

    /// What each of its sandboxes is promised, without what surrounds a function.
    pub fn room(&self) -> Room {
        Room {
            memory_bytes: u64::from(self.memory.get()) * 1024 * 1024,
            disk_bytes: u64::from(self.ephemeral_storage.get()) * 1024 * 1024,
        }
    }

    /// The function's ARN without a qualifier.
    pub fn arn_unqualified(&self) -> FunctionArn {
        FunctionArn {
            region: self.region.clone(),
            account: self.key.account.clone(),
            name: self.key.function.clone(),
            qualifier: None,
        }
    }

    /// The ARN that names this version.
    pub fn arn_qualified(&self) -> FunctionArn {
        FunctionArn { qualifier: Some(self.key.version.to_string()), ..self.arn_unqualified() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> FunctionVersion {
        let key = VersionKey {
            account: "123456789012".parse().unwrap(),
            function: "f".parse().unwrap(),
            version: Version::Published(1),
            revision: RevisionId::new(),
        };
        let code = CodeLocation {
            zip_sha256_base64: String::new(),
            zip_bytes: 1,
            zip_file: String::new(),
            image_file: String::new(),
            image_bytes: 2,
        };
        let handler = "app.handler".to_owned();
        FunctionVersion::with_defaults(key, "local".to_owned(), Runtime::Python313, handler, code)
    }

    #[test]
    fn records_from_before_there_were_snapshots_decode() {
        let mut record = serde_json::to_value(version()).unwrap();
        let members = record.as_object_mut().unwrap();
        for new in ["snap_start", "snapshot", "state_reason_code"] {
            members.remove(new).unwrap();
        }
        let old: FunctionVersion = serde_json::from_value(record).unwrap();
        assert_eq!(old.snap_start, SnapStart::default());
        assert_eq!((old.snapshot, old.state_reason_code), (None, None));
    }

    #[test]
    fn a_snapshot_survives_its_record() {
        let mut snapped = version();
        snapped.snap_start.apply_on = crate::ApplyOn::PublishedVersions;
        snapped.snapshot = Some(SnapshotId::new());
        snapped.state_reason_code = Some(StateReasonCode::FunctionError);
        let record = serde_json::to_string(&snapped).unwrap();
        assert_eq!(serde_json::from_str::<FunctionVersion>(&record).unwrap(), snapped);
        let id = snapped.snapshot.unwrap();
        assert_eq!(id.to_string().parse::<SnapshotId>().unwrap(), id);
    }
}
