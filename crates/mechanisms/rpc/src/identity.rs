//! Who this node is: its certificate and key, and the CA that it takes others' from.

use crate::security::{Security, SecurityError};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

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
    /// A file cannot be read.
    #[error("{} cannot be read; `hearth cluster` makes the certificates of nodes", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A text is no PEM of what it should be.
    #[error("there is no {what} as PEM where it should be; `hearth cluster` makes them")]
    Pem {
        /// What it should be.
        what: &'static str,
        /// What it is not.
        #[source]
        source: pem::Error,
    },
    /// They do not belong together, or not to today.
    #[error("the certificates and key of this node cannot be used")]
    Unusable(#[source] SecurityError),
}

impl Identity {
    /// Reads the three files, and checks that they belong together and are valid today.
    pub fn load(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path);
            text.map_err(|source| IdentityError::Read { path: path.clone(), source })
        };
        Self::from_pem(&read(&files.ca)?, &read(&files.certificate)?, &read(&files.key)?)
    }

    /// The same of what the files hold.
    pub fn from_pem(ca: &str, certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let ca = certificates("certificate of a CA", ca)?;
        let chain = certificates("certificate of a node", certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|source| IdentityError::Pem { what: "private key", source })?;
        let identity = Self { ca, chain, key };
        Security::mutual(&identity).map_err(IdentityError::Unusable)?;
        Ok(identity)
    }
}

fn certificates(
    what: &'static str,
    text: &str,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let all =
        all.and_then(|all| if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) });
    all.map_err(|source| IdentityError::Pem { what, source })
}
