//! Who is at the other end, as its certificate says.

use hearth_types::NodeName;
use rustls::pki_types::CertificateDer;

/// A name that every node's certificate has: a client knows by it that it reached a
/// node of the cluster, whatever its address is today.
pub(crate) const ANY_NODE: &str = "node.hearth.internal";
/// Before the name in the URI of a node's certificate.
const URI_PREFIX: &str = "hearth://node/";
/// The DNS name that only this node's certificate has.
pub(crate) fn dns_of(node: &NodeName) -> String {
    format!("{node}.{ANY_NODE}")
}

/// The URI of this node's certificate.
pub(crate) fn uri_of(node: &NodeName) -> String {
    format!("{URI_PREFIX}{node}")
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The node that it is; none over plaintext.
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
