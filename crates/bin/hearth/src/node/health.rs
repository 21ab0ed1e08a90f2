//! `health-listen`: whether a node lives, and whether it should be given work, for probes.

use crate::up::{Page, Pages};
use hearth_cluster::Membership;
use http::StatusCode;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Whether a node should be given work. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readiness {
    pub(super) membership: Arc<Membership>,
    pub(super) stop: CancellationToken,
}

impl Readiness {
    /// Why it should not, if so.
    fn objection(&self) -> Option<&'static str> {
        if self.stop.is_cancelled() {
            Some("it stops")
        } else if !self.membership.is_alive() {
            Some("it has lost its place in the cluster: it does not reach etcd")
        } else {
            None
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.objection().is_none()
    }
}

/// What probes ask. They are answered from the start on: a node may have to wait for what an
/// earlier life left, and is not ready then, but lives.
pub(super) struct HealthServer(Pages);

/// Whether the node is ready, once it is a node at all.
pub(super) type WhenReady = Arc<OnceLock<Readiness>>;

impl HealthServer {
    pub(super) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let pages = Pages::listen(address, "health").await?;
        tracing::info!("health on http://{}/live and /ready", pages.address()?);
        Ok(Self(pages))
    }

    /// Answers until cancelled.
    pub(super) async fn serve(self, readiness: WhenReady, stop: CancellationToken) {
        let page = move |path: &str| match path {
            // That it answers says it.
            "/live" => Some(told(None)),
            "/ready" => Some(told(match readiness.get() {
                Some(readiness) => readiness.objection(),
                None => Some("it starts"),
            })),
            _ => None,
        };
        self.0.serve(page, stop).await;
    }
}

fn told(objection: Option<&str>) -> Page {
    let status = if objection.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = format!("{}\n", objection.unwrap_or("ok"));
    Page { status, kind: "text/plain; charset=utf-8", body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_cluster::NODE_TTL;
    use hearth_metastore::RedbStore;
    use hearth_services::cluster::NodeRecord;
    use hearth_types::{NodeLife, Timestamp};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Status and body.
    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.trim_end().to_owned())
    }

    #[tokio::test]
    async fn probes_are_told_whether_a_node_starts_is_there_lost_its_place_or_stops() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(&dir.path().join("meta")).unwrap());
        let server = HealthServer::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = server.0.address().unwrap();
        let (when_ready, stop) = (WhenReady::default(), CancellationToken::new());
        let ended = CancellationToken::new();
        let serving = tokio::spawn(server.serve(Arc::clone(&when_ready), ended.clone()));
        assert_eq!(get(address, "/live").await.0, 200);
        assert_eq!(get(address, "/ready").await, (503, "it starts".to_owned()));

        let me = NodeRecord {
            name: "n1".parse().unwrap(),
            life: NodeLife::new(),
            zone: "a".parse().unwrap(),
            roles: [].into(),
            address: String::new(),
            worker: None,
            lease: 0,
            started: Timestamp(0),
            version: String::new(),
        };
        let membership = Membership::join(store, me).await.unwrap();
        let readiness = Readiness { membership: Arc::clone(&membership), stop: stop.clone() };
        assert!(when_ready.set(readiness).is_ok());
        assert_eq!(get(address, "/ready").await, (200, "ok".to_owned()));

        // Nobody keeps its lease.
        tokio::time::sleep(NODE_TTL).await;
        let (status, why) = get(address, "/ready").await;
        assert!(status == 503 && why.contains("lost its place"), "{status} {why}");
        assert_eq!(get(address, "/live").await.0, 200);

        stop.cancel();
        assert_eq!(get(address, "/ready").await, (503, "it stops".to_owned()));
        assert_eq!(get(address, "/else").await.0, 404);
        ended.cancel();
        serving.await.unwrap();
    }
}
