//! Why a key cannot be had, and what to do about it.

use super::sealed::VERSION;
use crate::fetch::ReadError;
use crate::master_key::MasterKeyError;
use std::io;
use std::path::PathBuf;

/// A key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The master key does not serve.
    #[error("cannot use the master key for {0}")]
    Master(String, #[source] MasterKeyError),
    /// There is no such key, and what it sealed cannot be read.
    #[error("there is no key {0}")]
    Missing(String),
    /// The file is not what was written.
    #[error("the key {0} is damaged: restore it from a copy")]
    Damaged(String),
    /// A later Hearth wrote it.
    #[error("the key {0} has version {1}; this is version {VERSION}")]
    Version(String, u16),
    /// The file cannot be read or written.
    #[error("cannot read or write the key {0}")]
    Io(String, #[source] io::Error),
    /// The object store cannot be read or written.
    #[error("cannot read or write the key {0} in the object store")]
    Store(String, #[source] ReadError),
    /// The node was not given the cluster's master key.
    #[error(
        "there is no master key {0}: copy the bundle there that `hearth cluster issue` makes \
         for this node"
    )]
    NoMaster(PathBuf),
    /// The node was given another master key than the cluster's.
    #[error(
        "the master key {0} is not the one of this cluster's keys: copy the cluster's there (each \
         bundle of `hearth cluster issue` has it), or choose another object store"
    )]
    OtherMaster(PathBuf),
    /// Nobody has set up the keys that are to be read.
    #[error("the object store holds no keys of a cluster: start a node on it first")]
    NotSetUp,
    /// Two nodes could each believe that they made a key first.
    #[error(
        "the object store takes a second object of the same name (it ignores If-None-Match), \
         so nodes would lose each other's keys: use one that refuses it"
    )]
    Unconditional,
}
