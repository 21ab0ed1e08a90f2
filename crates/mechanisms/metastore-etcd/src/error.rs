//! What can go wrong with etcd, and what each answer of it means.

use hearth_services::metastore::MetaStoreError;
use std::error::Error;
use std::time::Duration;
use tonic::{Code, ConnectError, Status};

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No member is named.
    #[error("no member of etcd is named")]
    NoMembers,
    /// More are named than etcd has in any sensible cluster.
    #[error("more than {max} members of etcd are named")]
    TooManyMembers {
        /// The most that may be.
        max: usize,
    },
    /// A member's address is none.
    #[error("{address} is not an address of etcd; they look like {scheme}://10.0.0.1:2379")]
    BadAddress {
        /// As it was given.
        address: String,
        /// What it should begin with.
        scheme: &'static str,
    },
    /// There is no certificate in what should hold the authority's.
    #[error("the certificate of etcd's authority is none in PEM")]
    NoAuthority,
    /// Certificates or key are none.
    #[error("etcd cannot be spoken to with these certificates and this key")]
    BadTls(#[source] tonic::transport::Error),
    /// The namespace is not a short word or path.
    #[error("the namespace {0:?} is not made of 1 to 64 letters, digits, '-', '.' or '/'")]
    BadNamespace(String),
}

/// Why a call to etcd failed.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// It says no, and would again.
    #[error("etcd refused")]
    Refused(#[source] Status),
    /// No member did it, for as long as was asked.
    #[error("no member of etcd did it within {0:?}")]
    Unavailable(Duration, #[source] Status),
    /// A call was cut off, and what came of it could not be found out.
    #[error("etcd did not say what came of it, and could not be asked within {0:?}")]
    Unsettled(Duration, #[source] Status),
    /// A watch was cut off again and again.
    #[error("the watch could not be continued within {0:?}")]
    WatchLost(Duration, #[source] Status),
    /// An answer that the protocol does not have.
    #[error("etcd's answer makes no sense: {0}")]
    Senseless(&'static str),
    /// A transaction lost its marker over and over: somebody else deletes them.
    #[error("markers of transactions vanish")]
    MarkersVanish,
}

impl From<EtcdError> for MetaStoreError {
    fn from(error: EtcdError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// What a failed attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No, for good. Nothing happened.
    Refused,
    /// Not by this member, or not now. Nothing happened.
    NotNow,
    /// It may have happened, or may still.
    Unclear,
}

/// What an error means.
pub(crate) fn meaning(status: &Status) -> Meaning {
    match status.code() {
        Code::ResourceExhausted if status.message().contains("too many requests") => {
            Meaning::NotNow
        }
        // It is what etcd answers to the write that fills it, too, and that one is done.
        Code::ResourceExhausted if status.message().contains("space exceeded") => Meaning::Unclear,
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => Meaning::Refused,
        _ if was_never_sent(status) => Meaning::NotNow,
        _ => Meaning::Unclear,
    }
}

/// Whether there was no connection to send it by.
fn was_never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Whether etcd knows no such lease.
pub(crate) fn is_lease_gone(error: &EtcdError) -> bool {
    matches!(error, EtcdError::Refused(status) if status.code() == Code::NotFound)
}

/// Whether the revision that was asked for is compacted.
pub(crate) fn is_compacted(error: &EtcdError) -> bool {
    matches!(error, EtcdError::Refused(status)
        if status.code() == Code::OutOfRange && status.message().contains("compacted"))
}
