//! Who is let in: nodes with a valid certificate of the same CA, and nobody else.

mod support;

use hearth_ambient::clock;
use hearth_rpc::pki::{Ca, PkiError};
use hearth_rpc::{
    CallError, Channel, ConnectError, Identity, IdentityError, IdentityFiles, Method, NotSent,
    Router, Security, SecurityError, ServeError,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Cluster, Server, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const COUNT: Method = Method::new("test.Security/Count");

/// A server that counts its calls.
fn counting(security: Security) -> (Server, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let router = Router::new().method(COUNT, move |_, (): ()| {
        let calls = counted.fetch_add(1, Ordering::SeqCst);
        async move { calls }
    });
    (Server::start(router, security), calls)
}

async fn connect_error(channel: &Channel) -> Arc<ConnectError> {
    match channel.call::<_, usize>(&COUNT, &(), soon()).await.unwrap_err() {
        CallError::NotSent { source: NotSent::Connect(error), .. } => error,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn nodes_of_another_cluster_are_refused_both_ways() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    let (server, calls) = counting(ours.security("a"));
    let channel = Channel::new(&server.address.to_string(), None, theirs.security("b"));
    let error = connect_error(&channel).await;
    assert!(matches!(*error, ConnectError::Tls(..)), "{error:?}");
    // A client that trusts our CA but is of theirs gets no further.
    let issued = theirs.ca.issue(&"b".parse().unwrap()).unwrap();
    let ca = ours.ca.certificate_pem();
    let error = Identity::from_pem(ca, &issued.certificate_pem, &issued.key_pem).unwrap_err();
    let is_foreign = matches!(error, IdentityError::Unusable(SecurityError::NotOfThisCa(_)));
    assert!(is_foreign, "{error:?}");
    assert!(!raw_client_is_served(ours.ca.certificate_pem(), &server, Some(&issued)).await);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn who_shows_no_certificate_is_refused() {
    let cluster = Cluster::new();
    let (server, _) = counting(cluster.security("a"));
    assert!(!raw_client_is_served(cluster.ca.certificate_pem(), &server, None).await);
    let issued = cluster.ca.issue(&"b".parse().unwrap()).unwrap();
    assert!(
        raw_client_is_served(cluster.ca.certificate_pem(), &server, Some(&issued)).await,
        "this would notice"
    );
}

/// Whether a TLS client of our own gets HTTP/2's first frame from a server.
async fn raw_client_is_served(
    ca_pem: &str,
    server: &Server,
    shown: Option<&hearth_rpc::pki::Issued>,
) -> bool {
    let pem = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pem(ca_pem)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes());
            let chain = vec![pem(&issued.certificate_pem)];
            builder.with_client_auth_cert(chain, key.unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("node.hearth.internal").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut tls = connector.connect(name, tcp).await.unwrap();
    // HTTP/2's preface, and empty settings.
    let _ = tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut frame = [0; 9];
    tls.read_exact(&mut frame).await.is_ok()
}

/// A CA that is not Hearth's has issued others than nodes' too.
#[tokio::test]
async fn who_shows_a_certificate_that_names_no_node_is_refused() {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let issue = |names: &[&str]| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["node.hearth.internal".to_owned()]).unwrap();
        let uris = names.iter().map(|name| SanType::URI((*name).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        hearth_rpc::pki::Issued {
            ca_pem: ca_pem.clone(),
            certificate_pem: params.signed_by(&key, &issuer).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    };
    let node = issue(&["hearth://node/b"]);
    let (server, _) = counting(Security::mutual(&node.identity().unwrap()).unwrap());
    assert!(raw_client_is_served(&ca_pem, &server, Some(&node)).await);
    for names in [&[][..], &["https://example.com/b"], &["hearth://node/B-"]] {
        assert!(!raw_client_is_served(&ca_pem, &server, Some(&issue(names))).await, "{names:?}");
    }
}

#[tokio::test]
async fn certificates_whose_time_is_over_are_refused() {
    // Two years ago: a CA that still is valid, and a node that no longer is.
    let past = clock::unix_now() - Duration::from_secs(2 * 366 * 86_400);
    let (cluster, old, old_pem) = std::thread::spawn(move || {
        clock::set(past);
        let cluster = Cluster::new();
        let issued = cluster.ca.issue(&"old".parse().unwrap()).unwrap();
        let old = Security::mutual(&issued.identity().unwrap()).unwrap();
        (cluster, old, issued)
    })
    .join()
    .unwrap();
    let (server, calls) = counting(cluster.security("a"));
    let address = server.address.to_string();
    let error = connect_error(&Channel::new(&address, None, old.clone())).await;
    assert!(matches!(*error, ConnectError::Greeting(..)), "{error:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let (expired, calls) = counting(old);
    let address = expired.address.to_string();
    let error = connect_error(&Channel::new(&address, None, cluster.security("b"))).await;
    assert!(matches!(*error, ConnectError::Tls(..)), "{error:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let error = old_pem.identity().unwrap_err();
    let is_over = matches!(error, IdentityError::Unusable(SecurityError::NotOfThisCa(_)));
    assert!(is_over, "its node learns at the start: {error:?}");
}

#[tokio::test]
async fn a_client_can_ask_for_a_certain_node() {
    let cluster = Cluster::new();
    let (server, calls) = counting(cluster.security("worker-7"));
    let to = |name: &str| {
        let name = Some(name.parse().unwrap());
        Channel::new(&server.address.to_string(), name, cluster.security("b"))
    };
    to("worker-7").call::<_, usize>(&COUNT, &(), soon()).await.unwrap();
    let error = connect_error(&to("worker-8")).await;
    assert!(matches!(*error, ConnectError::Tls(..)), "{error:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn plaintext_stays_on_this_host() {
    let (server, _) = counting(Security::PlaintextOnLoopback);
    let to = |address: &str| Channel::new(address, None, Security::PlaintextOnLoopback);
    let here = to(&server.address.to_string());
    assert_eq!(here.call::<_, usize>(&COUNT, &(), soon()).await.unwrap(), 0);
    // An address for documentation: nothing is sent there.
    let error = connect_error(&to("192.0.2.1:7400")).await;
    assert!(matches!(*error, ConnectError::PlaintextElsewhere(_)), "{error:?}");
    assert!(error.to_string().contains("192.0.2.1:7400 is not a loopback address"), "{error}");
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let stop = CancellationToken::new();
    let served = Router::new().serve(listener, Security::PlaintextOnLoopback, stop).await;
    let error = served.unwrap_err();
    assert!(matches!(error, ServeError::PlaintextElsewhere(_)), "{error:?}");
    // Nor is plaintext understood by who wants certificates, or the other way round.
    let cluster = Cluster::new();
    let (secured, _) = counting(cluster.security("a"));
    let error = connect_error(&to(&secured.address.to_string())).await;
    assert!(matches!(*error, ConnectError::Greeting(..)), "{error:?}");
    let channel = Channel::new(&server.address.to_string(), None, cluster.security("b"));
    let error = connect_error(&channel).await;
    assert!(matches!(*error, ConnectError::Tls(..)), "{error:?}");
}

#[test]
fn a_cluster_is_set_up_in_files() {
    let dir = tempfile::tempdir().unwrap();
    Ca::create(dir.path()).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path().join("ca.key")), 0o600);
    let before = fs::read(dir.path().join("ca.key")).unwrap();
    let error = Ca::create(dir.path()).unwrap_err();
    assert!(matches!(error, PkiError::Exists { .. }), "{error:?}");
    assert_eq!(fs::read(dir.path().join("ca.key")).unwrap(), before);

    let ca = Ca::load(dir.path()).unwrap();
    let node = tempfile::tempdir().unwrap();
    let issued = ca.issue(&"worker-7".parse().unwrap()).unwrap();
    let files = issued.write(node.path()).unwrap();
    assert_eq!(files, IdentityFiles::in_dir(node.path()));
    assert_eq!(mode(files.key.clone()), 0o600);
    Identity::load(&files).unwrap();
    ca.issue(&"worker-7".parse().unwrap()).unwrap().write(node.path()).expect("renewed");
    Identity::load(&files).unwrap();

    fs::write(&files.key, issued.key_pem).unwrap();
    let error = Identity::load(&files).unwrap_err();
    let is_key = matches!(error, IdentityError::Unusable(SecurityError::Key(_)));
    assert!(is_key, "the key of the certificate before: {error:?}");
    fs::remove_file(&files.certificate).unwrap();
    let error = Identity::load(&files).unwrap_err();
    assert!(error.to_string().contains("node.crt cannot be read"), "{error}");
}

#[test]
fn a_ca_of_two_halves_issues_nothing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Ca::create(one.path()).unwrap();
    Ca::create(two.path()).unwrap();
    fs::copy(two.path().join("ca.crt"), one.path().join("ca.crt")).unwrap();
    let ca = Ca::load(one.path()).unwrap();
    let error = ca.issue(&"a".parse().unwrap()).unwrap_err();
    assert!(matches!(error, PkiError::Mismatch(_)), "{error:?}");
    fs::remove_file(one.path().join("ca.crt")).unwrap();
    let error = Ca::create(one.path()).unwrap_err();
    assert!(matches!(error, PkiError::Exists { .. }), "half a CA is one: {error:?}");
}
