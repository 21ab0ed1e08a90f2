//! The socket to the server: orders out, answers back to who gave the order.

use super::PageServerError;
use crate::files::FILES_MAX;
use crate::wire::{Answer, FRAME_BYTES_MAX, ORDERS_MAX, Order, Receiver, Sender};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Orders that wait to be sent: each file keeps a place for its removal.
const QUEUE_MAX: usize = ORDERS_MAX + FILES_MAX;

/// Who waits for an answer; none once the server is gone.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

pub(super) struct Outgoing {
    order: Order,
    fd: Option<OwnedFd>,
    answer: Option<oneshot::Sender<Answer>>,
}

impl Outgoing {
    /// An order whose answer nobody waits for.
    pub(super) fn unanswered(order: Order) -> Self {
        Self { order, fd: None, answer: None }
    }
}

pub(super) struct Link {
    orders: mpsc::Sender<Outgoing>,
    // Closes the socket with the link.
    _tasks: JoinSet<()>,
}

impl Link {
    pub(super) fn new(socket: StdUnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (receive, send) = UnixStream::from_std(socket)?.into_split();
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let mut tasks = JoinSet::new();
        let sender = write(Sender::new(send), queue, waiting.clone());
        hearth_tasks::spawn_in(&mut tasks, "page server orders", sender);
        let receiver = read(Receiver::new(receive), waiting);
        hearth_tasks::spawn_in(&mut tasks, "page server answers", receiver);
        Ok(Self { orders, _tasks: tasks })
    }

    /// Gives an order and waits for what comes of it.
    pub(super) async fn order(
        &self,
        order: Order,
        fd: Option<OwnedFd>,
    ) -> Result<Answer, PageServerError> {
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing { order, fd, answer: Some(answer) };
        self.orders.send(outgoing).await.map_err(|_| PageServerError::Gone)?;
        answered.await.map_err(|_| PageServerError::Gone)
    }

    /// Gives an order whose answer nobody waits for.
    pub(super) async fn send(&self, order: Order) -> Result<(), PageServerError> {
        let outgoing = Outgoing::unanswered(order);
        self.orders.send(outgoing).await.map_err(|_| PageServerError::Gone)
    }

    /// A place in the queue, for an order that must not wait.
    pub(super) async fn place(&self) -> Result<OwnedPermit<Outgoing>, PageServerError> {
        self.orders.clone().reserve_owned().await.map_err(|_| PageServerError::Gone)
    }
}

async fn write(mut sender: Sender, mut queue: mpsc::Receiver<Outgoing>, waiting: Waiting) {
    let mut number = 0u64;
    while let Some(Outgoing { order, fd, answer }) = queue.recv().await {
        number += 1;
        if let Some(answer) = answer {
            match &mut *waiting.lock() {
                Some(waiting) => drop(waiting.insert(number, answer)),
                None => return,
            }
        }
        if let Err(error) = sender.send(number, &order, fd).await {
            tracing::warn!(%error, "a page server cannot be reached");
            *waiting.lock() = None;
            return;
        }
    }
}

async fn read(mut receiver: Receiver, waiting: Waiting) {
    loop {
        match receiver.receive::<Answer>().await {
            Ok(Some((number, answer))) => {
                let asked = waiting.lock().as_mut().and_then(|waiting| waiting.remove(&number));
                // Whoever asked may have stopped waiting.
                if let Some(asked) = asked {
                    let _nobody_waits = asked.send(answer).is_err();
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "a page server cannot be understood");
                break;
            }
        }
    }
    *waiting.lock() = None;
}

/// Whether an order is short enough to be sent.
pub(super) fn check(order: &Order) -> Result<(), PageServerError> {
    let len = postcard::experimental::serialized_size(order).map_err(io::Error::other);
    match len.map_err(PageServerError::TooLong)? {
        len if len + size_of::<u64>() * 2 <= FRAME_BYTES_MAX => Ok(()),
        len => Err(PageServerError::TooLong(io::Error::other(format!("{len} bytes")))),
    }
}
