//! Who this node is: its certificate and key, and the CA that it takes others' from.

use crate::security::{Security, SecurityError};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::{Path, PathBuf};

/// The file of the CA's certificate.
pub(crate) const CA_CERTIFICATE: &str = "ca.crt";
/// The file of a node's certificate.
pub(crate) const NODE_CERTIFICATE: &str = "node.crt";
/// The file of a node's key.
pub(crate) const NODE_KEY: &str = "node.key";

/// Where the three lie, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The CA's certificate.
    pub ca: PathBuf,
    /// This node's certificate.
    pub certificate: PathBuf,
    /// This node's key.
    pub key: PathBuf,
}

impl IdentityFiles {
    /// Where [`crate::pki::Issued::write`] puts them.
    pub fn in_dir(dir: &Path) -> Self {
        let [ca, certificate, key] =
            [CA_CERTIFICATE, NODE_CERTIFICATE, NODE_KEY].map(|name| dir.join(name));
        Self { ca, certificate, key }
    }
}

/// Certificates and key of a node.
pub struct Identity {
    pub(crate) ca: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        let (ca, chain) = (self.ca.clone(), self.chain.clone());
        Self { ca, chain, key: self.key.clone_key() }
    }
}

/// Why a node's certificates or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file is not there or holds no PEM of what it should.
    #[error("{} does not hold a {what} as PEM; `hearth cluster` makes these files", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it was not read.
        #[source]
        source: pem::Error,
    },
    /// They do not belong together, or not to today.
    #[error("{} cannot be used with the CA and key beside it", path.display())]
    Unusable {
        /// The node's certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: SecurityError,
    },
}

impl Identity {
    /// Reads the three files, and checks that they belong together and are valid today.
    pub fn load(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let ca = certificates(&files.ca)?;
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key);
        let key = key.map_err(|source| wrong(&files.key, "private key", source))?;
        let identity = Self { ca, chain, key };
        match Security::mutual(&identity) {
            Ok(_) => Ok(identity),
            Err(source) => {
                Err(IdentityError::Unusable { path: files.certificate.clone(), source })
            }
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let read = || -> Result<Vec<_>, pem::Error> {
        let all = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) }
    };
    read().map_err(|source| wrong(path, "certificate", source))
}

fn wrong(path: &Path, what: &'static str, source: pem::Error) -> IdentityError {
    IdentityError::File { path: path.to_owned(), what, source }
}
