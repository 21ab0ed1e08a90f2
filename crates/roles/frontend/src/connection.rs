//! One connection: HTTP/1.1 with keep-alive, within limits.

use crate::call::Shared;
use crate::idle::{Busy, Place};
use crate::options::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::reply::ReplyBody;
use crate::service;
use crate::write_timeout::WriteTimeout;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long shutdown waits for half a request to become a whole one, and for
/// the last piece of a response to be taken.
const SHUTDOWN_IDLE_MAX: Duration = Duration::from_secs(2);

/// A response's body. While there is more of it to send, the connection is busy.
struct Sending {
    body: ReplyBody,
    _busy: Busy,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = <ReplyBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves requests until either side has had enough. After `shutdown` the
/// request that is running is answered and no other is taken. While none is
/// running, the connection may be closed for another's sake.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, shutdown: CancellationToken) {
    // Responses are written whole; waiting to fill a segment only adds latency.
    let _best_effort = stream.set_nodelay(true);
    let stream = WriteTimeout::new(stream, shared.options.stall_timeout);
    let close = CancellationToken::new();
    let place = Place::new(&shared.idle, close.clone());
    let service = service_fn(|request| {
        let busy = place.busy();
        let reply = service::handle(shared.clone(), request);
        async { Ok::<_, Infallible>(reply.await.map(|body| Sending { body, _busy: busy })) }
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
        biased;
        () = close.cancelled() => {
            if place.is_idle() {
                return tracing::debug!("connection gave its place up");
            }
            // A request came at that very moment; its answer must not be lost.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            loop {
                match timeout(SHUTDOWN_IDLE_MAX, connection.as_mut()).await {
                    Ok(ended) => break ended,
                    Err(_) if place.is_idle() => {
                        return tracing::debug!("connection cut: it never finished a request");
                    }
                    Err(_) => {}
                }
            }
        }
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        // The client's doing: it went away, stalled, or does not speak HTTP.
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}
