//! How connections are secured: TLS 1.3 where both sides show a certificate of the
//! cluster's CA, or plaintext between processes of one host.

use crate::identity::Identity;
use crate::peer::{ANY_NODE, Peer, dns_of};
use hearth_ambient::clock;
use hearth_types::NodeName;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What TLS calls HTTP/2.
const HTTP2: &[u8] = b"h2";

/// How connections are secured. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Security {
    /// Both sides show a certificate of the same CA.
    Mutual(Mutual),
    /// Neither does: anybody on this host may call. Refused where either side is not on
    /// a loopback address.
    PlaintextOnLoopback,
}

/// Certificates, ready for use.
#[derive(Clone, Debug)]
pub struct Mutual {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// The CA's certificate is none.
    #[error("the CA's certificate cannot be used")]
    Ca(#[source] rustls::Error),
    /// The CA's certificate verifies nobody.
    #[error("the CA's certificate verifies nobody")]
    Verifier(#[source] VerifierBuilderError),
    /// The node's certificate was issued by another CA, is over, or is not valid yet.
    #[error("the node's certificate is not of this CA, or not valid today; issue another")]
    NotOfThisCa(#[source] rustls::Error),
    /// The node's key is not that of its certificate.
    #[error("the node's key and certificate do not belong together")]
    Key(#[source] rustls::Error),
}

/// A connection, secured or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Security {
    /// Both sides show certificates; this one's identity is given.
    pub fn mutual(identity: &Identity) -> Result<Self, SecurityError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in &identity.ca {
            roots.add(certificate.clone()).map_err(SecurityError::Ca)?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(SecurityError::Verifier)?;
        check_own(identity, verifier.as_ref())?;
        let server = server(identity, verifier, provider.clone()).map_err(SecurityError::Key)?;
        let client = client(identity, roots, provider).map_err(SecurityError::Key)?;
        Ok(Self::Mutual(Mutual { server: Arc::new(server), client: Arc::new(client) }))
    }

    pub(crate) fn is_plaintext(&self) -> bool {
        matches!(self, Self::PlaintextOnLoopback)
    }

    /// The server's side of a connection, and who made it.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::PlaintextOnLoopback if !tcp.peer_addr()?.ip().is_loopback() => {
                Err(io::Error::other("plaintext from another host"))
            }
            Self::PlaintextOnLoopback => Ok((Box::new(tcp), Peer::default())),
            Self::Mutual(mutual) => {
                let tls = TlsAcceptor::from(mutual.server.clone()).accept(tcp).await?;
                let peer = Peer::of(tls.get_ref().1.peer_certificates());
                if peer.node.is_none() {
                    return Err(io::Error::other("its certificate names no node"));
                }
                Ok((Box::new(tls), peer))
            }
        }
    }

    /// The client's side of a connection to a certain node, or to any of the cluster.
    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        node: Option<&NodeName>,
    ) -> io::Result<(Box<dyn Stream>, Peer)> {
        let Self::Mutual(mutual) = self else { return Ok((Box::new(tcp), Peer::default())) };
        let name = node.map_or_else(|| ANY_NODE.to_owned(), dns_of);
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let tls = TlsConnector::from(mutual.client.clone()).connect(name, tcp).await?;
        if tls.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("the peer does not speak HTTP/2"));
        }
        let peer = Peer::of(tls.get_ref().1.peer_certificates());
        Ok((Box::new(tls), peer))
    }
}

/// Finds out at the start what every peer would find.
fn check_own(identity: &Identity, verifier: &dyn ClientCertVerifier) -> Result<(), SecurityError> {
    let Some((own, between)) = identity.chain.split_first() else {
        return Err(SecurityError::Key(rustls::Error::NoCertificatesPresented));
    };
    let now = UnixTime::since_unix_epoch(clock::unix_now());
    verifier.verify_client_cert(own, between, now).map_err(SecurityError::NotOfThisCa)?;
    Ok(())
}

fn server(
    identity: &Identity,
    verifier: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // Connections are few and long; each checks both certificates anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    identity: &Identity,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The time by which certificates are judged.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(clock::unix_now()))
    }
}
