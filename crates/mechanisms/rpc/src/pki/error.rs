//! What can go wrong with a cluster's certificates, and what to do about it.

use crate::identity::IdentityError;
use std::io;
use std::path::PathBuf;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// There is a CA already, or a part of one.
    #[error(
        "{} exists already and is not overwritten: nodes trust it. To start a new cluster, \
         choose another directory or move it away", path.display()
    )]
    Exists {
        /// What exists.
        path: PathBuf,
    },
    /// A file of the CA cannot be read.
    #[error("{} cannot be read; is this where the cluster was set up?", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written; nothing was left behind", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The CA's key is none.
    #[error("{} holds no private key; restore it from a backup", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// The CA's certificate and key do not belong together, or its time is over.
    #[error("the CA's certificate and key are not of one CA, or its time is over")]
    Mismatch(#[source] Box<IdentityError>),
    /// A time that certificates cannot say.
    #[error("{days} days from now is later than a certificate can say")]
    TooLong {
        /// How long it was to be valid.
        days: u32,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[source] rcgen::Error),
}
