//! A front end as a balancer sees it: a health endpoint, and invokes that take as long as
//! a test wants.

use crate::wire;
use anyhow::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A front end. Dropping it kills it.
pub(crate) struct FrontEnd {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    name: &'static str,
    /// The heads of the invokes that came, whole.
    seen: Mutex<Vec<String>>,
    connections: Mutex<JoinSet<Result<()>>>,
    /// Whether held invokes may end.
    released: watch::Sender<bool>,
    /// Connections are closed unread.
    closes: AtomicBool,
    /// Says that others should be asked.
    is_unready: AtomicBool,
}

impl FrontEnd {
    pub(crate) async fn start(name: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = State {
            name,
            seen: Mutex::default(),
            connections: Mutex::default(),
            released: watch::Sender::new(false),
            closes: AtomicBool::new(false),
            is_unready: AtomicBool::new(false),
        };
        let (address, state) = (listener.local_addr()?, Arc::new(state));
        let accepting = Some(tokio::spawn(accept(listener, Arc::clone(&state))));
        Ok(Self { name, address, state, accepting })
    }

    /// Begins to serve again, where it did.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.state))));
        Ok(())
    }

    /// Takes no connection any more; those that are there go on.
    pub(crate) async fn stop_accepting(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // The listener is closed once the task is gone.
            let _ = accepting.await;
        }
    }

    /// Dies: all connections are closed, whatever goes on in them.
    pub(crate) async fn kill(&mut self) {
        self.stop_accepting().await;
        let mut connections = std::mem::take(&mut *self.state.connections.lock().unwrap());
        connections.shutdown().await;
    }

    /// From now on, closes each connection before it reads anything.
    pub(crate) fn close_unread(&self, closes: bool) {
        self.state.closes.store(closes, SeqCst);
    }

    /// From now on, says that it is ready, or that it is not.
    pub(crate) fn ready(&self, is_ready: bool) {
        self.state.is_unready.store(!is_ready, SeqCst);
    }

    /// Lets held invokes end.
    pub(crate) fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// How often an invoke came.
    pub(crate) fn saw(&self, id: &str) -> usize {
        let line = format!("x-id: {id}\r\n");
        self.seen().iter().filter(|head| head.to_lowercase().contains(&line)).count()
    }

    /// The heads of all invokes that came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        if state.closes.load(SeqCst) {
            continue;
        }
        let serving = serve(BufReader::new(stream), Arc::clone(&state));
        state.connections.lock().unwrap().spawn(serving);
    }
}

async fn serve(mut stream: BufReader<TcpStream>, state: Arc<State>) -> Result<()> {
    while let Some(request) = wire::read(&mut stream).await? {
        let is_last = request.header("connection") == Some("close");
        if !request.head.starts_with("GET /hearth/v1/") {
            state.seen.lock().unwrap().push(request.head.clone());
            if request.header("x-hold").is_some() {
                state.released.subscribe().wait_for(|released| *released).await?;
            }
        }
        let body = state.name;
        let is_refused =
            request.head.starts_with("GET /hearth/v1/ready ") && state.is_unready.load(SeqCst);
        let status = if is_refused { "503 Service Unavailable" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
        if is_last {
            break;
        }
    }
    Ok(())
}
