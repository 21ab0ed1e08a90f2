//! A network that loses what a test wants it to lose.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// What happens to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They pass.
    Pass,
    /// The next call passes, and then its connection is cut instead of letting the
    /// answer through. After that all pass.
    LoseAnswer,
    /// The same, but after that all connections are cut.
    LoseAnswerAndGo,
    /// The next call is held, and what its client sends after it is lost. Other
    /// connections pass.
    HoldCall,
    /// Connections are cut, and new ones too.
    Down,
}

/// What a client sends of fewer bytes is housekeeping of HTTP/2, and no call.
const CALL_BYTES_MIN: usize = 64;
/// The same of a server, and no answer.
const ANSWER_BYTES_MIN: usize = 40;
/// Read at once: larger than any call of these tests.
const BUFFER_BYTES: usize = 64 * 1024;

struct Control {
    mode: watch::Sender<Mode>,
    is_holding: AtomicBool,
    release: Notify,
    answered: Notify,
}

/// A proxy in front of one member, which it makes look like two.
pub(crate) struct Proxy {
    addresses: Vec<String>,
    control: Arc<Control>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Starts one.
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let control = Arc::new(Control {
            mode: watch::Sender::new(Mode::Pass),
            is_holding: AtomicBool::new(false),
            release: Notify::new(),
            answered: Notify::new(),
        });
        let (mut addresses, mut accepting) = (Vec::new(), JoinSet::new());
        for _ in 0..2 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            addresses.push(format!("http://{}", listener.local_addr().unwrap()));
            accepting.spawn(accept(listener, to, control.clone()));
        }
        Self { addresses, control, _accepting: accepting }
    }

    /// Where it is.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }

    /// Changes what happens from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.control.mode.send_replace(mode);
    }

    /// What happens now.
    pub(crate) fn mode(&self) -> Mode {
        *self.control.mode.borrow()
    }

    /// Lets through what is held, and waits until the server has answered it.
    pub(crate) async fn release(&self) {
        assert!(self.control.is_holding.load(Ordering::SeqCst), "nothing is held");
        self.control.release.notify_one();
        self.control.answered.notified().await;
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, control: Arc<Control>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let control = control.clone();
        connections.spawn(async move {
            // However it ends, both sides see their connection cut.
            let _ = serve(client, to, &control).await;
        });
    }
}

async fn serve(client: TcpStream, to: SocketAddr, control: &Control) -> std::io::Result<()> {
    let mut mode = control.mode.subscribe();
    if *mode.borrow() == Mode::Down {
        return Ok(());
    }
    let server = TcpStream::connect(to).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut up, mut down) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut after_answer = None;
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let bytes = &up[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let now = *control.mode.borrow();
                if bytes.len() >= CALL_BYTES_MIN && now != Mode::Pass {
                    control.mode.send_replace(Mode::Pass);
                    match now {
                        Mode::HoldCall => {
                            return hold(bytes, from_client, from_server, to_server, control).await;
                        }
                        Mode::LoseAnswerAndGo => after_answer = Some(Mode::Down),
                        _ => after_answer = Some(Mode::Pass),
                    }
                }
                to_server.write_all(bytes).await?;
            }
            read = from_server.read(&mut down) => {
                let bytes = &down[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                if let Some(mode) = after_answer && bytes.len() >= ANSWER_BYTES_MIN {
                    control.mode.send_replace(mode);
                    return Ok(());
                }
                to_client.write_all(bytes).await?;
            }
            () = is_down(&mut mode) => return Ok(()),
        }
    }
}

async fn is_down(mode: &mut watch::Receiver<Mode>) {
    // An error says that the proxy is gone.
    let _ = mode.wait_for(|mode| *mode == Mode::Down).await;
}

async fn hold(
    bytes: &[u8],
    mut from_client: OwnedReadHalf,
    mut from_server: OwnedReadHalf,
    mut to_server: OwnedWriteHalf,
    control: &Control,
) -> std::io::Result<()> {
    control.is_holding.store(true, Ordering::SeqCst);
    let lose_more = async {
        let mut lost = vec![0; BUFFER_BYTES];
        while from_client.read(&mut lost).await.is_ok_and(|read| read > 0) {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = lose_more => {}
        () = control.release.notified() => {}
    }
    to_server.write_all(bytes).await?;
    let mut answer = vec![0; BUFFER_BYTES];
    while (1..ANSWER_BYTES_MIN).contains(&from_server.read(&mut answer).await?) {}
    control.answered.notify_one();
    Ok(())
}
