//! Which etcd, and how patient to be with it.

use crate::error::OpenError;
use http::Uri;
use std::fmt;
use std::time::Duration;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// Most members: larger clusters of etcd only get slower.
const MEMBERS_MAX: usize = 9;
/// Longest namespace, in bytes: it is part of every key.
const NAMESPACE_BYTES_MAX: usize = 64;

/// What connections to etcd are secured with, as texts in PEM.
#[derive(Clone)]
pub struct EtcdTls {
    /// The authorities whose certificates members may show.
    pub ca: String,
    /// The certificate that is shown to them, and its key, if they ask for one.
    pub identity: Option<(String, String)>,
}

impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").finish_non_exhaustive()
    }
}

impl EtcdTls {
    pub(crate) fn config(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }
}

/// How to reach the store.
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// Where the members serve clients, as `https://HOST:PORT`; `http` without `tls`.
    pub members: Vec<String>,
    /// What connections are secured with, if they are.
    pub tls: Option<EtcdTls>,
    /// What all keys begin with: several Hearths can share an etcd.
    pub namespace: String,
    /// How long a call is tried, at all members together. An election takes a second
    /// or two.
    pub patience: Duration,
}

impl EtcdOptions {
    /// The defaults: a namespace that says whose it is, and patience enough for an
    /// election on a busy machine.
    pub fn new(members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            members: members.into_iter().map(Into::into).collect(),
            tls: None,
            namespace: "hearth".to_owned(),
            patience: Duration::from_secs(15),
        }
    }

    /// The members' addresses, if all of this is right.
    pub(crate) fn validate(&self) -> Result<Vec<Uri>, OpenError> {
        let is_fine = |c: u8| c.is_ascii_alphanumeric() || b"-.".contains(&c);
        let bytes = self.namespace.as_bytes();
        if bytes.is_empty()
            || bytes.len() > NAMESPACE_BYTES_MAX
            || !bytes.iter().all(|c| is_fine(*c))
        {
            return Err(OpenError::BadNamespace(self.namespace.clone()));
        }
        // An authority that is none would only be noticed by every member's refusal.
        if self.tls.as_ref().is_some_and(|tls| !tls.ca.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(OpenError::NoAuthority);
        }
        match self.members.len() {
            0 => Err(OpenError::NoMembers),
            1..=MEMBERS_MAX => {
                let scheme = if self.tls.is_some() { "https" } else { "http" };
                self.members.iter().map(|address| parse(address, scheme)).collect()
            }
            _ => Err(OpenError::TooManyMembers { max: MEMBERS_MAX }),
        }
    }
}

fn parse(address: &str, scheme: &'static str) -> Result<Uri, OpenError> {
    let bad = || OpenError::BadAddress { address: address.to_owned(), scheme };
    let uri: Uri = address.parse().map_err(|_| bad())?;
    let is_fine = uri.scheme_str() == Some(scheme) && uri.port().is_some() && uri.path() == "/";
    is_fine.then_some(uri).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_namespaces_are_checked() {
        let with = |members: &[&str], namespace: &str| {
            let options = EtcdOptions::new(members.iter().copied());
            EtcdOptions { namespace: namespace.to_owned(), ..options }.validate()
        };
        assert_eq!(with(&["http://a:1", "http://[::1]:2"], "n.1").unwrap().len(), 2);
        assert!(matches!(with(&[], "n"), Err(OpenError::NoMembers)));
        assert!(matches!(
            with(&["http://a:1"; 10], "n"),
            Err(OpenError::TooManyMembers { max: 9 })
        ));
        for bad in ["", "a:1", "http://a", "https://a:1", "http://a:1/x", "http://a:b", "ftp://a:1"]
        {
            assert!(matches!(with(&[bad], "n"), Err(OpenError::BadAddress { .. })), "{bad}");
        }
        let secured = |member: &str| {
            let tls = Some(EtcdTls { ca: "-----BEGIN CERTIFICATE-----".into(), identity: None });
            EtcdOptions { tls, ..EtcdOptions::new([member]) }.validate()
        };
        assert_eq!(secured("https://a:1").unwrap().len(), 1);
        assert!(matches!(secured("http://a:1"), Err(OpenError::BadAddress { .. })), "unsecured");
        for bad in ["", "a b", "a/data", "é", &"n".repeat(65)] {
            assert!(matches!(with(&["http://a:1"], bad), Err(OpenError::BadNamespace(_))), "{bad}");
        }
    }
}
