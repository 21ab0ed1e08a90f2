//! What a server writes: kept, bounded, for failures, and watched for a line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Lines that are kept.
const LINES_MAX: usize = 400;

/// The last lines of a process's output.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<VecDeque<String>>,
    more: Notify,
}

impl Output {
    /// Takes lines from `stream` until its end, in a task of its own.
    pub(crate) fn follow(&self, stream: impl AsyncRead + Send + Unpin + 'static) -> JoinHandle<()> {
        let output = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                output.push(line);
            }
        })
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
        self.0.more.notify_waiters();
    }

    /// Waits for a line from which `pick` takes something.
    pub(crate) async fn find<T>(&self, pick: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let more = self.0.more.notified();
            tokio::pin!(more);
            // Registered before the look, so that no line falls between.
            more.as_mut().enable();
            let found = {
                let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.iter().find_map(|line| pick(line))
            };
            match found {
                Some(found) => return found,
                None => more.await,
            }
        }
    }

    /// All that is kept.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
