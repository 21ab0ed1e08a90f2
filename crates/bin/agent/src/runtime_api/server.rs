//! The HTTP server around the Runtime API. Its clients are the function's own
//! processes: hostile, but only to themselves, so bounds on memory suffice.

use super::RuntimeApi;
use crate::transport::Transport;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections open at once. A runtime needs one or two.
const CONNECTIONS_MAX: usize = 64;
/// Read buffer of a connection; also bounds a request's head.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Said to a connection too many.
const BUSY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Accepts connections for ever.
pub(crate) async fn serve<T: Transport>(api: Arc<RuntimeApi<T>>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The client went away, or memory is short this moment.
            tokio::task::yield_now().await;
            continue;
        };
        match room.clone().try_acquire_owned() {
            Ok(place) => {
                let api = api.clone();
                tokio::spawn(async move {
                    converse(api, stream).await;
                    drop(place);
                });
            }
            // Best effort: there is no room to wait for a slow client.
            Err(_full) => drop(stream.try_write(BUSY)),
        }
    }
}

async fn converse<T: Transport>(api: Arc<RuntimeApi<T>>, stream: TcpStream) {
    // Without it an event's last segment may wait for the runtime's ACK.
    // Failing leaves the connection slow, not wrong.
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    // What a connection dies of concerns its client alone, who has been told
    // (4xx) where HTTP allows it.
    drop(
        http1::Builder::new()
            .auto_date_header(false)
            .title_case_headers(true)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}
