//! The client: starts a server's process and gives it orders.

mod file;
mod link;
mod process;

pub use file::CloneFile;
pub use process::Death;

use crate::layout;
use crate::wire::{Answer, Order, Refusal};
use crate::{FileSpec, Waits};
use link::Link;
use process::Process;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a server takes for an order, besides what its source may take;
/// one that takes longer is killed, for a VMM may be waiting for it as well.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest that it takes to end when it is told to; then it is killed.
const SHUTDOWN_WAIT_MAX: Duration = Duration::from_secs(5);

/// How to start a page server.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// Its directory; no other server may have the same.
    pub dir: PathBuf,
    /// A program that calls [`serve`](crate::serve), given `args`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// How long reads wait.
    pub waits: Waits,
}

/// A page server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process could not be started.
    #[error("the page server's process could not be started")]
    Spawn(#[source] io::Error),
    /// It started, and went wrong.
    #[error("the page server did not start")]
    Server(#[source] PageServerError),
}

/// The page server did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum PageServerError {
    /// It had a reason.
    #[error("the page server refused")]
    Refused(#[source] Refusal),
    /// It is dead, or dying.
    #[error("the page server is gone")]
    Gone,
    /// It took too long, and was killed.
    #[error("the page server did not answer in time and was killed")]
    Late,
    /// The order is longer than any can be.
    #[error("an order is too long for the page server")]
    TooLong(#[source] io::Error),
    /// A file that it made could not be opened.
    #[error("a file of the page server could not be opened")]
    Open(#[source] io::Error),
    /// Its answer has nothing to do with the order.
    #[error("the page server gave an answer that makes no sense")]
    Nonsense,
}

/// A running page server. It ends when the last handle to it, and to its files,
/// is dropped.
#[derive(Clone)]
pub struct PageServer(Arc<Inner>);

struct Inner {
    link: Link,
    process: Process,
    files: PathBuf,
    waits: Waits,
}

impl PageServer {
    /// Starts a server and waits until it serves.
    pub async fn start(options: StartOptions) -> Result<Self, StartError> {
        let StartOptions { dir, program, args, waits } = options;
        let files = layout::files(&dir);
        let (process, socket) =
            Process::start(program, args, files.clone()).await.map_err(StartError::Spawn)?;
        let link = Link::new(socket).map_err(StartError::Spawn)?;
        let server = Self(Arc::new(Inner { link, process, files, waits }));
        match server.0.order(Order::Start { dir, waits }).await.map_err(StartError::Server)? {
            Answer::Done => Ok(server),
            _ => Err(StartError::Server(PageServerError::Nonsense)),
        }
    }

    /// Makes a file, which can be opened and mapped at once.
    pub async fn create(&self, spec: FileSpec) -> Result<CloneFile, PageServerError> {
        CloneFile::create(self.0.clone(), spec).await
    }

    /// How many files the kernel knows, and may hold pages of: those there are,
    /// and those removed that somebody still has open.
    pub async fn files_known(&self) -> Result<u64, PageServerError> {
        match self.0.order(Order::Known).await? {
            Answer::Known(files) => Ok(files),
            _ => Err(PageServerError::Nonsense),
        }
    }

    /// Waits until the server's process has ended; who reads its files gets
    /// errors from then on.
    pub async fn died(&self) -> Death {
        self.0.process.died().await
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.0.process.pid()
    }

    /// Ends the server, whoever still uses its files.
    pub async fn shutdown(&self) -> Death {
        // If it does not hear this it is killed.
        let _gone = self.0.link.send(Order::Shutdown).await;
        if let Ok(death) = tokio::time::timeout(SHUTDOWN_WAIT_MAX, self.died()).await {
            return death;
        }
        self.0.process.kill();
        self.died().await
    }
}

impl Inner {
    async fn order(&self, order: Order) -> Result<Answer, PageServerError> {
        self.order_within(order, None, ANSWER_WAIT_MAX + self.waits.source).await
    }

    /// Gives an order, and a descriptor with it if it takes one.
    async fn order_within(
        &self,
        order: Order,
        fd: Option<OwnedFd>,
        wait: Duration,
    ) -> Result<Answer, PageServerError> {
        match tokio::time::timeout(wait, self.link.order(order, fd)).await {
            Ok(answer) => accept(answer?),
            Err(_) => {
                tracing::error!("a page server does not answer and is killed");
                self.process.kill();
                Err(PageServerError::Late)
            }
        }
    }
}

fn accept(answer: Answer) -> Result<Answer, PageServerError> {
    match answer {
        Answer::Refused(refusal) => Err(PageServerError::Refused(refusal)),
        answer => Ok(answer),
    }
}
