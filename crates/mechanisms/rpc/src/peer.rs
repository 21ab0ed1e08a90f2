//! Who is at the other end, as its certificate says.

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name that every node's certificate has: a client knows by it that it reached a
/// node of the cluster, whatever its address is today.
pub(crate) const ANY_NODE: &str = "node.hearth.internal";
/// Before the name in the URI of a node's certificate.
const URI_PREFIX: &str = "hearth://node/";
/// The longest name: that of a DNS label.
const NAME_BYTES_MAX: usize = 63;

/// The name of a node: 1 to 63 lower-case letters, digits and inner hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// A text that is no name of a node.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no name of a node: it needs 1 to 63 of a-z, 0-9 and '-', no '-' at an end")]
pub struct BadNodeName(String);

impl FromStr for NodeName {
    type Err = BadNodeName;

    fn from_str(text: &str) -> Result<Self, BadNodeName> {
        let is_fine = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if is_fine { Ok(Self(text.to_owned())) } else { Err(BadNodeName(text.to_owned())) }
    }
}

impl TryFrom<String> for NodeName {
    type Error = BadNodeName;

    fn try_from(text: String) -> Result<Self, BadNodeName> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl NodeName {
    /// The DNS name that only this node's certificate has.
    pub(crate) fn dns(&self) -> String {
        format!("{self}.{ANY_NODE}")
    }

    /// The URI of this node's certificate.
    pub(crate) fn uri(&self) -> String {
        format!("{URI_PREFIX}{self}")
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The node that it is; none over plaintext, or if its certificate names none.
    pub node: Option<NodeName>,
}

impl Peer {
    /// Reads a certificate that was verified already.
    pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let Some(own) = certificates.and_then(<[_]>::first) else { return Self::default() };
        let Ok(own) = webpki::EndEntityCert::try_from(own) else { return Self::default() };
        let node = own.valid_uri_names().find_map(|uri| uri.strip_prefix(URI_PREFIX)?.parse().ok());
        Self { node }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        for good in ["a", "worker-7", "10", &"x".repeat(63)] {
            assert_eq!(good.parse::<NodeName>().unwrap().as_ref(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "ä", &"x".repeat(64)] {
            bad.parse::<NodeName>().unwrap_err();
            let packed = crate::codec::pack(bad, 100).unwrap();
            crate::codec::unpack::<NodeName>(&packed).unwrap_err();
        }
    }
}
