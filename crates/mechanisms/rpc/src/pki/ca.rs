//! The CA of a cluster: made once, then issues a certificate for each node.
//!
//! Its name is derived from its key, so that issuing needs no parser of certificates,
//! and no two CAs have one name.

use super::error::PkiError;
use super::files::{Kind, create};
use super::node::Issued;
use crate::identity::CA_CERTIFICATE;
use crate::peer::{ANY_NODE, dns_of, uri_of};
use hearth_ambient::{clock, random};
use hearth_types::NodeName;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType,
    SerialNumber,
};
use std::fmt;
use std::fs;
use std::path::Path;
use time::OffsetDateTime;

/// How long a CA is valid: replacing it means to touch every node.
pub const CA_DAYS: u32 = 3653;
/// How long a node's certificate is valid: it is renewed with the node's software.
pub const NODE_DAYS: u32 = 366;
/// The file of the CA's key.
const CA_KEY: &str = "ca.key";
/// How long before now a certificate is valid already: clocks differ.
const CLOCKS_DIFFER_SECONDS: i64 = 3600;
const DAY_SECONDS: i64 = 86_400;

/// When a certificate is valid, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first.
    pub from_unix_seconds: i64,
    /// The last.
    pub until_unix_seconds: i64,
}

impl Validity {
    /// From now on, for so many days.
    pub fn days(days: u32) -> Self {
        let now = i64::try_from(clock::unix_now().as_secs()).unwrap_or(i64::MAX / 2);
        let until = now + i64::from(days) * DAY_SECONDS;
        Self { from_unix_seconds: now - CLOCKS_DIFFER_SECONDS, until_unix_seconds: until }
    }

    fn set(self, params: &mut CertificateParams) -> Result<(), PkiError> {
        let time = |seconds| {
            let days = u32::try_from(seconds / DAY_SECONDS).unwrap_or(u32::MAX);
            OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| PkiError::TooLong { days })
        };
        params.not_before = time(self.from_unix_seconds)?;
        params.not_after = time(self.until_unix_seconds)?;
        Ok(())
    }
}

/// The CA of a cluster, with its key.
pub struct Ca {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").finish_non_exhaustive()
    }
}

impl Ca {
    /// Makes a CA and writes `ca.key` and `ca.crt` into a directory that has neither.
    pub fn create(dir: &Path) -> Result<Self, PkiError> {
        let (certificate, key) = (dir.join(CA_CERTIFICATE), dir.join(CA_KEY));
        if let Some(path) = [&certificate, &key].into_iter().find(|path| path.exists()) {
            return Err(PkiError::Exists { path: path.clone() });
        }
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::Make)?;
        let key_pem = pair.serialize_pem();
        let ca = Self::make(pair)?;
        create(&key, Kind::Key, &key_pem)?;
        create(&certificate, Kind::Certificate, &ca.certificate_pem)?;
        Ok(ca)
    }

    fn make(key: KeyPair) -> Result<Self, PkiError> {
        let mut params = params(&key);
        Validity::days(CA_DAYS).set(&mut params)?;
        params.serial_number = Some(serial());
        let certificate = params.self_signed(&key).map_err(PkiError::Make)?;
        Ok(Self { certificate_pem: certificate.pem(), issuer: Issuer::new(params, key) })
    }

    /// Reads what [`Ca::create`] wrote.
    pub fn load(dir: &Path) -> Result<Self, PkiError> {
        let read = |name: &str| {
            let path = dir.join(name);
            let text = fs::read_to_string(&path);
            text.map_err(|source| PkiError::Read { path, source })
        };
        let (certificate_pem, key_pem) = (read(CA_CERTIFICATE)?, read(CA_KEY)?);
        let key = KeyPair::from_pem(&key_pem);
        let key = key.map_err(|source| PkiError::BadKey { path: dir.join(CA_KEY), source })?;
        Ok(Self { certificate_pem, issuer: Issuer::new(params(&key), key) })
    }

    /// The CA's certificate, as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate for a node, for a year from now.
    pub fn issue(&self, node: &NodeName) -> Result<Issued, PkiError> {
        let issued = self.issue_for(node, Validity::days(NODE_DAYS))?;
        issued.check()?;
        Ok(issued)
    }

    /// Issues one for a time of one's own, even one that is over.
    pub fn issue_for(&self, node: &NodeName, validity: Validity) -> Result<Issued, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::Make)?;
        let ia5 = |name: String| name.try_into().map_err(PkiError::Make);
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Hearth node {node}"));
        params.subject_alt_names = vec![
            SanType::URI(ia5(uri_of(node))?),
            SanType::DnsName(ia5(ANY_NODE.to_owned())?),
            SanType::DnsName(ia5(dns_of(node))?),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial());
        validity.set(&mut params)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::Make)?;
        Ok(Issued {
            ca_pem: self.certificate_pem.clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// What every certificate of the CA with this key says of it.
fn params(key: &KeyPair) -> CertificateParams {
    let print = blake3::hash(key.der_bytes());
    let mut params = CertificateParams::default();
    params.distinguished_name =
        named(&format!("Hearth CA {}", hex::encode(&print.as_bytes()[..8])));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut full = DistinguishedName::new();
    full.push(DnType::OrganizationName, "Hearth");
    full.push(DnType::CommonName, name);
    full
}

/// Unlike any other: 16 bytes of chance, positive as the standard wants it.
fn serial() -> SerialNumber {
    let mut bytes = random::bytes::<16>();
    bytes[0] = bytes[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&bytes)
}
