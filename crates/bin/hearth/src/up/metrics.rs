//! `--metrics-listen`: what the roles recorded, as text for Prometheus to scrape.
//! Without the option nothing is recorded: the roles' handles do nothing.

use super::pages::{Page, Pages};
use anyhow::Context;
use http::StatusCode;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bounds of histograms' buckets, in seconds: from a warm invoke's stages to
/// the longest that a function may run.
const BUCKETS_S: [f64; 20] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
];
/// How often recorded values are folded into their buckets; until then each
/// takes memory of its own, whether somebody scrapes or not.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// What a scrape is answered with.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A recorder that is installed, and the place where it will be read.
pub(crate) struct MetricsServer {
    pages: Pages,
    recorded: PrometheusHandle,
}

impl MetricsServer {
    /// Listens, and has every role record from now on.
    pub(crate) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let pages = Pages::listen(address, "metrics").await?;
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS_S)?.build_recorder();
        let recorded = recorder.handle();
        metrics::set_global_recorder(recorder).context("a recorder is installed already")?;
        register_all();
        tracing::info!("metrics on http://{}/metrics", pages.address()?);
        Ok(Self { pages, recorded })
    }

    /// Answers until cancelled; `observe` brings gauges up to date.
    pub(crate) async fn serve(
        self,
        observe: impl Fn() + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        let (recorded, observe) = (self.recorded.clone(), Arc::new(observe));
        let page = move |path: &str| {
            (path == "/metrics").then(|| {
                observe();
                Page { status: StatusCode::OK, kind: KIND, body: recorded.render() }
            })
        };
        tokio::select! {
            () = self.pages.serve(page, stop) => {}
            never = upkeep_forever(&self.recorded) => match never {},
        }
    }
}

async fn upkeep_forever(recorded: &PrometheusHandle) -> Infallible {
    let mut upkeep = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        upkeep.tick().await;
        recorded.run_upkeep();
    }
}

/// The metrics of every role, and of the store below the worker.
fn register_all() {
    hearth_frontend::register_metrics();
    hearth_control::register_metrics();
    hearth_assignment::register_metrics();
    hearth_placement::register_metrics();
    hearth_worker::register_metrics();
    hearth_capacity::register_metrics();
    hearth_chunk_store::register_metrics();
}

#[cfg(test)]
mod tests;
