//! The server's side of the operator's socket: binds it, lets only the owner of
//! the data directory in, and answers until told to stop.

use super::{SnapshotDesk, routes};
use hearth_services::control::Accounts;
use hearth_tasks::spawn_in;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections served at once; an operator needs one.
const CONNECTIONS_MAX: usize = 8;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long calls under way may take when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What an operator can ask for.
pub(crate) struct Desk {
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) snapshots: SnapshotDesk,
}

/// The bound socket; its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct OperatorSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The user of whom the data directory is.
    owner: u32,
}

impl OperatorSocket {
    /// Binds the socket in the data directory, replacing one that a killed
    /// server left. The caller holds the directory's lock, so no living
    /// server's socket can be replaced.
    pub(crate) fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(super::SOCKET_NAME);
        // A socket is open to others between bind and chmod; so it is made in
        // a directory that only the owner can enter, and moved when it is shut.
        let nursery = tempfile::Builder::new().prefix(".op").rand_bytes(4).tempdir_in(data_dir)?;
        let unborn = nursery.path().join("s");
        let listener = UnixListener::bind(&unborn)?;
        std::fs::set_permissions(&unborn, std::fs::Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(data_dir)?.uid();
        if std::fs::metadata(&unborn)?.uid() != owner {
            std::os::unix::fs::chown(&unborn, Some(owner), None)?;
        }
        std::fs::rename(&unborn, &path)?;
        Ok(Self { listener, path, owner })
    }

    /// Answers until cancelled, and then ends the calls under way.
    pub(crate) async fn serve(self, desk: Arc<Desk>, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let place = tokio::select! {
                () = stop.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => match place {
                    Ok(place) => place,
                    Err(_closed) => break,
                },
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
                Some(_ended) = connections.join_next(), if !connections.is_empty() => continue,
            };
            match accepted {
                Ok((stream, _)) => {
                    if !self.lets_in(&stream) {
                        continue;
                    }
                    let connection = serve_connection(stream, Arc::clone(&desk), stop.clone());
                    spawn_in(&mut connections, "operator connection", async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "operator socket: accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
            tracing::warn!("operator socket: calls were cut short");
        }
    }

    /// The mode already keeps others out; this holds even where a file system
    /// does not honour it.
    fn lets_in(&self, stream: &UnixStream) -> bool {
        match stream.peer_cred() {
            Ok(peer) if [self.owner, 0].contains(&peer.uid()) => return true,
            Ok(peer) => tracing::warn!(uid = peer.uid(), "operator socket: refused a peer"),
            Err(error) => tracing::warn!(%error, "operator socket: unknown peer"),
        }
        false
    }
}

impl Drop for OperatorSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "operator socket: not removed");
        }
    }
}

async fn serve_connection(stream: UnixStream, desk: Arc<Desk>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(routes::answer(request, &desk).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "operator socket: connection ended");
    }
}
