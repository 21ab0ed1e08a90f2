//! One connection on the serving side: secured within a bounded time, then HTTP/2 until
//! the client ends it, stops answering pings, or the server stops.

use super::answer::{Shared, Streams};
use crate::limits::{
    CHANNEL_CALLS_MAX, CONNECTION_WINDOW_BYTES, HANDSHAKE_MAX, HEADER_BYTES_MAX,
    SERVER_PING_INTERVAL, SERVER_PING_MAX, STREAM_WINDOW_BYTES,
};
use crate::security::Security;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// HTTP/2 streams of one connection: all calls of a channel and its greeting, so that a client
/// never queues where it cannot see it.
const CALLS_MAX: u32 = CHANNEL_CALLS_MAX as u32 + 8;

/// Serves a connection to its end. Once `stop` is cancelled it takes no more calls, and
/// ends with the last of those that run.
pub(super) async fn serve(
    shared: Arc<Shared>,
    security: Security,
    tcp: TcpStream,
    from: SocketAddr,
    stop: CancellationToken,
) {
    // Small messages go at once; that this fails says that the connection is gone.
    let _ = tcp.set_nodelay(true);
    let secured = timeout(HANDSHAKE_MAX, security.accept(tcp));
    let (stream, peer) = tokio::select! {
        secured = secured => match secured {
            Ok(Ok(secured)) => secured,
            Ok(Err(error)) => {
                tracing::info!(%from, %error, "a connection was not secured");
                return;
            }
            Err(_) => {
                tracing::info!(%from, max = ?HANDSHAKE_MAX, "a connection was not secured in time");
                return;
            }
        },
        () = stop.cancelled() => return,
    };
    tracing::debug!(%from, node = peer.node.as_ref().map(|node| node.as_str()), "a peer connected");
    let streams = Streams::new(stop.clone());
    let service = service_fn(move |request| {
        let (shared, peer, streams) = (shared.clone(), peer.clone(), streams.clone());
        async move { Ok::<_, Infallible>(shared.answer(peer, streams, request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CALLS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(SERVER_PING_INTERVAL)
        .keep_alive_timeout(SERVER_PING_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%from, %error, "a peer's connection broke");
    }
}
