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
