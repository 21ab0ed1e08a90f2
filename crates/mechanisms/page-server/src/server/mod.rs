//! The server's process: mounts, obeys orders, and ends with who started it.

mod orders;

use crate::Sources;
use crate::wire::{Answer, ORDERS_MAX, Order, Receiver, Sender};
use orders::Server;
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

/// Threads that wait for disks, or push pages: the most that do so at a time.
const BLOCKING_THREADS_MAX: usize = 256;
/// Threads that do the rest.
const WORKER_THREADS: usize = 2;

/// Why a page server ended other than by its client's wish.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Standard input is no socket: it was not started by a client.
    #[error("a page server is started by hearth, with a socket as its standard input")]
    NoClient(#[source] io::Error),
    /// The client said what no client says.
    #[error("the page server's client could not be understood")]
    Client(#[source] io::Error),
    /// It could not start.
    #[error("the page server could not start")]
    Start(#[source] io::Error),
}

/// A runtime that is fit for [`serve`].
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("pages")
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
}

/// Serves the client that started this process, until it is gone or has had
/// enough. Needs a [`runtime`], and the process for itself: it must never touch
/// a file that it serves, and after this it has to end.
pub async fn serve(sources: Arc<dyn Sources>) -> Result<(), ServeError> {
    // A reader would wait forever for a thread that has panicked.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| ServeError::Start(e.into()))?;
    raise_file_limit().map_err(|error| ServeError::Start(error.into()))?;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned();
    let socket = stdin.and_then(into_stream).map_err(ServeError::NoClient)?;
    let (receive, send) = socket.into_split();
    let mut receiver = Receiver::new(receive);
    let (answers, mut waiting) = mpsc::channel::<(u64, Answer)>(ORDERS_MAX);
    let mut sender = Sender::new(send);
    let writer = hearth_tasks::spawn("page server answers", async move {
        while let Some((number, answer)) = waiting.recv().await {
            sender.send(number, &answer, None).await?;
        }
        io::Result::Ok(())
    });
    let first = receiver.receive::<Order>().await.map_err(ServeError::Client)?;
    let Some((number, Order::Start { dir, waits })) = first else { return Ok(()) };
    let server = match Server::start(&dir, waits, sources).await {
        Ok(server) => Arc::new(server),
        Err(error) => {
            let refusal = crate::wire::Refusal::Start(error.to_string());
            // It will see us end if it does not hear us.
            let _gone = answers.send((number, Answer::Refused(refusal))).await;
            drop(answers);
            let _said = writer.await;
            return Err(ServeError::Start(error));
        }
    };
    let _gone = answers.send((number, Answer::Done)).await;
    let served = obey(&server, &mut receiver, answers).await;
    server.stop();
    served.map_err(ServeError::Client)
}

/// Files have overlays and sources: more than a process may open by default.
fn raise_file_limit() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
}

fn into_stream(stdin: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(stdin);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Does what it is told until the client is gone.
async fn obey(
    server: &Arc<Server>,
    receiver: &mut Receiver,
    answers: mpsc::Sender<(u64, Answer)>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(ORDERS_MAX));
    let orders = TaskTracker::new();
    while let Some((number, order)) = receiver.receive::<Order>().await? {
        if matches!(order, Order::Shutdown) {
            break;
        }
        // Descriptors come in the order of the orders that they belong to.
        let fd = match order {
            Order::ServeFaults { .. } => receiver.descriptor(),
            _ => None,
        };
        // The semaphore is never closed.
        let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (server, answers) = (server.clone(), answers.clone());
        drop(hearth_tasks::spawn_tracked(&orders, "page server order", async move {
            let answer = server.obey(order, fd).await.unwrap_or_else(Answer::Refused);
            let _client_gone = answers.send((number, answer)).await;
            drop(permit);
        }));
    }
    Ok(())
}
