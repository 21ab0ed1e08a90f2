//! One connection: HTTP/1.1 with keep-alive, within limits.

use crate::call::Shared;
use crate::options::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::service;
use crate::write_timeout::WriteTimeout;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Serves requests until either side has had enough. After `shutdown` the
/// request that is running is answered and no other is taken.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, shutdown: CancellationToken) {
    // Responses are written whole; waiting to fill a segment only adds latency.
    let _best_effort = stream.set_nodelay(true);
    let stream = WriteTimeout::new(stream, shared.options.stall_timeout);
    let service = service_fn({
        let shared = shared.clone();
        move |request| {
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(service::handle(shared, request).await) }
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.options.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client's doing: it went away, stalled, or does not speak HTTP.
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}
