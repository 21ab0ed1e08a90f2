//! `health-listen`: whether a node lives, and whether it should be given work, for probes.

use crate::up::{Page, Pages};
use hearth_cluster::Membership;
use http::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;
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

/// What probes ask.
pub(super) struct HealthServer(Pages);

impl HealthServer {
    pub(super) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let pages = Pages::listen(address, "health").await?;
        tracing::info!("health on http://{}/live and /ready", pages.address()?);
        Ok(Self(pages))
    }

    /// Answers until cancelled. Before, probes wait: a node that starts is not ready.
    pub(super) async fn serve(self, readiness: Readiness, stop: CancellationToken) {
        let page = move |path: &str| match path {
            // That it answers says it.
            "/live" => Some(told(None)),
            "/ready" => Some(told(readiness.objection())),
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
