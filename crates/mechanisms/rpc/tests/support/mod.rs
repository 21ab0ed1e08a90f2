//! A cluster's certificates, servers that can be killed, and relays that can freeze.
#![allow(dead_code, reason = "each test uses some of it")]

use hearth_rpc::pki::Ca;
use hearth_rpc::{Channel, Router, Security};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest that anything may take that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// A CA, and certificates of it.
pub(crate) struct Cluster {
    _dir: TempDir,
    pub(crate) ca: Ca,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::create(dir.path()).unwrap();
        Self { _dir: dir, ca }
    }

    /// What a node of this cluster secures its connections with.
    pub(crate) fn security(&self, node: &str) -> Security {
        let issued = self.ca.issue(&node.parse().unwrap()).unwrap();
        Security::mutual(&issued.identity().unwrap()).unwrap()
    }

    /// A server of this cluster, and a channel to it.
    pub(crate) fn pair(&self, router: Router) -> (Server, Channel) {
        let server = Server::start(router, self.security("server"));
        let channel = Channel::new(&server.address.to_string(), None, self.security("client"));
        (server, channel)
    }
}

/// A server with a runtime of its own, which is all that it consists of.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    runtime: Option<Runtime>,
    ended: watch::Receiver<bool>,
}

impl Server {
    pub(crate) fn start(router: Router, security: Security) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), router, security)
    }

    pub(crate) fn start_at(at: SocketAddr, router: Router, security: Security) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let socket = bind(at);
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (end, ended) = watch::channel(false);
        let token = stop.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(socket).unwrap();
            router.serve(listener, security, token).await.unwrap();
            end.send_replace(true);
        });
        Self { address, stop, runtime: Some(runtime), ended }
    }

    /// Ends it as kill -9 would: its sockets close, and nothing of it runs on.
    pub(crate) fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Waits until it has stopped by itself.
    pub(crate) async fn ended(&mut self) {
        let ended = self.ended.wait_for(|ended| *ended);
        tokio::time::timeout(PATIENCE, ended).await.expect("it stops").unwrap();
    }
}

/// Waits for the address to be free: whoever was killed there may not be gone yet, and
/// another test's connection may have been given its port.
fn bind(at: SocketAddr) -> std::net::TcpListener {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match std::net::TcpListener::bind(at) {
            Ok(socket) => return socket,
            Err(error) => assert!(Instant::now() < deadline, "{at}: {error}"),
        }
        std::thread::yield_now();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where handlers stand that may not await: each passes for one permit.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self, permits: usize) {
        *self.0.0.lock().unwrap() += permits;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let closed = |permits: &mut usize| *permits == 0;
        *self.0.1.wait_while(self.0.0.lock().unwrap(), closed).unwrap() -= 1;
    }
}

/// Between a client and a server; once frozen, it moves nothing and closes nothing. When it
/// is cut, what goes through it ends, as if the server had died.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) frozen: CancellationToken,
    cut: watch::Sender<()>,
}

impl Relay {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let frozen = CancellationToken::new();
        let watched = frozen.clone();
        let (cut, cuts) = watch::channel(());
        tokio::spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                let to = TcpStream::connect(to).await.unwrap();
                let ((from_r, from_w), (to_r, to_w)) = (from.into_split(), to.into_split());
                for (from, to) in [(from_r, to_w), (to_r, from_w)] {
                    let mut cuts = cuts.clone();
                    cuts.mark_unchanged();
                    let pumped = pump(from, to, watched.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = cuts.changed() => {}
                            () = pumped => {}
                        }
                    });
                }
            }
        });
        Self { address, frozen, cut }
    }

    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    frozen: CancellationToken,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            biased;
            () = frozen.cancelled() => std::future::pending().await,
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(length @ 1..) if to.write_all(&buffer[..length]).await.is_ok() => {}
            _ => return,
        }
    }
}
