//! What a node is given: its certificate and key, and the CA's certificate.

use super::error::PkiError;
use super::files::{Kind, replace};
use crate::identity::{Identity, IdentityError, IdentityFiles};
use std::fmt;
use std::path::Path;

/// A certificate that was issued for a node, its key, and the certificate of its CA.
#[derive(Clone)]
pub struct Issued {
    /// The CA's certificate, as PEM.
    pub ca_pem: String,
    /// The node's certificate, as PEM.
    pub certificate_pem: String,
    /// The node's key, as PEM. A secret.
    pub key_pem: String,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}

impl Issued {
    /// Writes `ca.crt`, `node.crt` and `node.key` into a directory, in place of those
    /// that are there: certificates are renewed. The certificate comes last.
    pub fn write(&self, dir: &Path) -> Result<IdentityFiles, PkiError> {
        let files = IdentityFiles::in_dir(dir);
        replace(&files.ca, Kind::Certificate, &self.ca_pem)?;
        replace(&files.key, Kind::Key, &self.key_pem)?;
        replace(&files.certificate, Kind::Certificate, &self.certificate_pem)?;
        Ok(files)
    }

    /// The same without files.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        Identity::from_pem(&self.ca_pem, &self.certificate_pem, &self.key_pem)
    }

    /// Whether the CA's certificate verifies what its key has signed.
    pub(super) fn check(&self) -> Result<(), PkiError> {
        self.identity().map(drop).map_err(|error| PkiError::Mismatch(Box::new(error)))
    }
}
