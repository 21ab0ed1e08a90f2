//! `--metrics-listen`: what the roles recorded, as text for Prometheus to scrape.
//! Without the option nothing is recorded: the roles' handles do nothing.

use anyhow::Context;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
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
/// Longest that one scrape may take. They are served one after another: there
/// is one scraper.
const SCRAPE_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A recorder that is installed, and the place where it will be read.
pub(crate) struct MetricsServer {
    listener: TcpListener,
    recorded: PrometheusHandle,
}

impl MetricsServer {
    /// Listens, and has every role record from now on.
    pub(crate) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} for metrics"))?;
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS_S)?.build_recorder();
        let recorded = recorder.handle();
        metrics::set_global_recorder(recorder).context("a recorder is installed already")?;
        register_all();
        tracing::info!("metrics on http://{}/metrics", listener.local_addr()?);
        Ok(Self { listener, recorded })
    }

    /// Answers until cancelled; `observe` brings gauges up to date.
    pub(crate) async fn serve(self, observe: impl Fn() + Sync, stop: CancellationToken) {
        let mut upkeep = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                _ = upkeep.tick() => {
                    self.recorded.run_upkeep();
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.scrape(stream, &observe) => {}
                },
                Err(error) => {
                    tracing::warn!(%error, "metrics: accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn scrape(&self, stream: TcpStream, observe: &(impl Fn() + Sync)) {
        let service = service_fn(|request: Request<Incoming>| async move {
            let known = request.method() == Method::GET && request.uri().path() == "/metrics";
            Ok::<_, Infallible>(match known {
                true => {
                    observe();
                    text(self.recorded.render())
                }
                false => not_found(),
            })
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        match tokio::time::timeout(SCRAPE_MAX, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "metrics: a scrape broke off"),
            Err(_elapsed) => tracing::debug!("metrics: a scrape took too long"),
        }
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

fn text(body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn not_found() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

#[cfg(test)]
mod tests;
