//! Base types: the ids, names, sizes and records every other crate speaks in.
//!
//! Nothing here does I/O, but for the time and the randomness of new values. A
//! value of one of these types has been validated: a `FunctionName` *is* a
//! legal function name.
#![forbid(unsafe_code)]

mod account;
mod alias;
mod arn;
mod function;
mod ids;
mod limits;
mod names;
mod node;
mod record;
mod reign;
mod room;
mod runtime;
mod secret;
mod sizes;
mod snap_start;
mod state_reason;
#[cfg(feature = "test-util")]
pub mod testing;
mod timestamp;

pub use account::{AccessKeyId, AccountId, InvalidAccountId};
pub use alias::{AliasName, InvalidAlias, InvalidWeight, Weight};
pub use arn::FunctionArn;
pub use function::{
    CodeLocation, FunctionVersion, LastUpdateStatus, LoggingConfig, State, VersionKey,
};
pub use ids::{NodeLife, RequestId, RevisionId, SandboxId, SnapshotId, WorkerId};
pub use limits::*;
pub use names::{FunctionName, InvalidName, Version};
pub use node::{InvalidNodeName, NodeName, ZoneName};
pub use record::{StageTimes, StartKind};
pub use reign::{Hold, Partition, Reign};
pub use room::Room;
pub use runtime::{Runtime, UnknownRuntime};
pub use secret::Secret;
pub use sizes::{EphemeralStorageMb, MemoryMb, OutOfRange, TimeoutS};
pub use snap_start::{ApplyOn, SnapStart};
pub use state_reason::StateReasonCode;
pub use timestamp::Timestamp;
