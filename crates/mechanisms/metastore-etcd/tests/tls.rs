//! etcd that shows a certificate, and wants to see one.

use hearth_metastore_etcd::{EtcdOptions, EtcdStore, EtcdTls};
use hearth_programs::Program;
use hearth_services::metastore::{MetaStore, Txn};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const ETCD: Program = Program::new("etcd", "etcd-server");
/// How long whoever is refused goes on trying.
const REFUSED: Duration = Duration::from_secs(3);

/// An authority, and one certificate of it with its key.
struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

fn certificates() -> Certificates {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    Certificates { ca, certificate, key: key.serialize_pem() }
}

struct Secured {
    process: Child,
    address: String,
    _dir: TempDir,
}

impl Secured {
    fn start(certificates: &Certificates) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let port = || {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        let address = format!("https://127.0.0.1:{}", port());
        let peer = format!("http://127.0.0.1:{}", port());
        let mut etcd = ETCD.command().unwrap();
        etcd.args(["--listen-client-urls", &address, "--advertise-client-urls", &address]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--name", "n", "--initial-cluster", &format!("n={peer}")]);
        etcd.arg("--data-dir").arg(dir.path().join("data"));
        etcd.arg("--trusted-ca-file").arg(file("ca", &certificates.ca));
        etcd.arg("--cert-file").arg(file("certificate", &certificates.certificate));
        etcd.arg("--key-file").arg(file("key", &certificates.key));
        etcd.arg("--client-cert-auth");
        let process = etcd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { process: process.unwrap(), address, _dir: dir }
    }

    fn store(&self, tls: EtcdTls, patience: Duration) -> EtcdStore {
        let options = EtcdOptions::new([self.address.as_str()]);
        EtcdStore::open(&EtcdOptions { tls: Some(tls), patience, ..options }).unwrap()
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn both_sides_show_certificates() {
    let ours = certificates();
    let etcd = Secured::start(&ours);
    let identity = Some((ours.certificate.clone(), ours.key.clone()));
    let tls = EtcdTls { ca: ours.ca.clone(), identity };
    let store = etcd.store(tls.clone(), hearth_test_servers::START_MAX);
    store.transact(Txn::new().put("a", "1")).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "1");

    // Whoever shows none, or trusts another authority, gets nowhere.
    let nameless = EtcdTls { identity: None, ..tls.clone() };
    let elsewhere = EtcdTls { ca: certificates().ca, ..tls };
    for wrong in [nameless, elsewhere] {
        etcd.store(wrong, REFUSED).get("a").await.unwrap_err();
    }
}

#[tokio::test]
async fn what_is_no_certificate_is_told_at_once() {
    let ours = certificates();
    let key = Some((ours.certificate, "no key".to_owned()));
    for (ca, identity) in [("no certificate".to_owned(), None), (ours.ca, key)] {
        let tls = Some(EtcdTls { ca, identity });
        let options = EtcdOptions { tls, ..EtcdOptions::new(["https://a:1"]) };
        EtcdStore::open(&options).unwrap_err();
    }
}
