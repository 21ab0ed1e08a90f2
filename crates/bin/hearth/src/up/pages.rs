//! A few small pages over HTTP, for whoever looks after a server: scrapers, probes.

use anyhow::Context;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longest that one visit may take.
const VISIT_MAX: Duration = Duration::from_secs(5);
/// How long a visitor may take to say what it wants.
const HEAD_MAX: Duration = Duration::from_secs(1);
/// Visits at a time; one more waits.
const VISITS_MAX: usize = 16;
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A page, as text.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

/// Where pages are served.
pub(crate) struct Pages(TcpListener);

impl Pages {
    /// Listens; `what` is said if it cannot.
    pub(crate) async fn listen(address: SocketAddr, what: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        Ok(Self(listener.with_context(|| format!("cannot listen on {address} for {what}"))?))
    }

    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    /// Serves the pages that there are, by path, until `stop`.
    pub(crate) async fn serve<F>(&self, page: F, stop: CancellationToken)
    where
        F: Fn(&str) -> Option<Page> + Clone + Send + Sync + 'static,
    {
        let mut visits = JoinSet::new();
        loop {
            let has_room = visits.len() < VISITS_MAX;
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = visits.join_next() => continue,
                accepted = self.0.accept(), if has_room => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    hearth_tasks::spawn_in(&mut visits, "page", visit(stream, page.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a visit was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn visit(stream: TcpStream, page: impl Fn(&str) -> Option<Page>) {
    let service = service_fn(|request: Request<Incoming>| {
        let found = (request.method() == Method::GET).then(|| page(request.uri().path()));
        async move { Ok::<_, Infallible>(response(found.flatten())) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(VISIT_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a visit broke off"),
        Err(_elapsed) => tracing::debug!("a visit took too long"),
    }
}

fn response(page: Option<Page>) -> Response<Full<Bytes>> {
    let Some(Page { status, kind, body }) = page else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
