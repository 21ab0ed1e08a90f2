//! One connection: HTTP/1.1 with keep-alive, within limits.

use crate::call::Shared;
use crate::options::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::service;
use crate::write_timeout::WriteTimeout;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long shutdown waits for half a request to become a whole one, and for
/// the last bytes of a response to be taken.
const SHUTDOWN_IDLE_MAX: Duration = Duration::from_secs(2);

/// Serves requests until either side has had enough. After `shutdown` the
/// request that is running is answered and no other is taken. While none is
/// running, the connection may be closed for another's sake.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, shutdown: CancellationToken) {
    // Responses are written whole; waiting to fill a segment only adds latency.
    let _best_effort = stream.set_nodelay(true);
    let stream = WriteTimeout::new(stream, shared.options.stall_timeout);
    let close = CancellationToken::new();
    let idle = Mutex::new(Some(shared.idle.wait(close.clone())));
    let service = service_fn(|request| {
        drop(idle.lock().take());
        async {
            let reply = service::handle(shared.clone(), request).await;
            *idle.lock() = Some(shared.idle.wait(close.clone()));
            Ok::<_, Infallible>(reply)
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
        () = close.cancelled() => return tracing::debug!("connection gave its place up"),
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            loop {
                match timeout(SHUTDOWN_IDLE_MAX, connection.as_mut()).await {
                    Ok(ended) => break ended,
                    Err(_) if idle.lock().is_some() => {
                        return tracing::debug!("connection cut: it never finished a request");
                    }
                    Err(_) => {}
                }
            }
        }
    };
    if let Err(error) = ended {
        // The client's doing: it went away, stalled, or does not speak HTTP.
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}
