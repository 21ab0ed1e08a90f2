//! Starting tasks. Every task has a **name**, an **owner** and a rule for its
//! **panic**: it is logged under the task's name whoever looks at the result,
//! and where the process is nothing without the task, it stops the process.
//!
//! | start with | its owner is |
//! |---|---|
//! | [`spawn`] | whoever holds the handle |
//! | [`spawn_tracked`] | a [`TaskTracker`], which shutdown waits for |
//! | [`spawn_in`] | a [`JoinSet`], which ends its tasks when it is dropped |
//! | [`spawn_vital`] | whoever holds the handle; a panic also cancels a token |
//!
//! Clippy bans the ways around these. Blocking work is awaited where it is
//! started, so `spawn_blocking` needs no such care.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "this is the other way")]

use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts a task whose owner keeps the handle.
#[must_use = "dropping the handle leaves the task without an owner"]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(named(name, None, future))
}

/// Starts a task that the process is nothing without: its panic cancels `stop`.
#[must_use = "dropping the handle leaves the task without an owner"]
pub fn spawn_vital<F>(
    name: &'static str,
    stop: CancellationToken,
    future: F,
) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(named(name, Some(stop), future))
}

/// Starts a task that `owner` counts until it ends.
pub fn spawn_tracked<F>(owner: &TaskTracker, name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    owner.spawn(named(name, None, future))
}

/// Starts a task that lives no longer than `owner`.
pub fn spawn_in<T: Send + 'static>(
    owner: &mut JoinSet<T>,
    name: &'static str,
    future: impl Future<Output = T> + Send + 'static,
) -> AbortHandle {
    owner.spawn(named(name, None, future))
}

async fn named<F: Future>(
    name: &'static str,
    stop: Option<CancellationToken>,
    future: F,
) -> F::Output {
    let _alarm = Alarm { name, stop };
    future.await
}

/// Dropped with the task's future, whether it ended, was cut or panicked.
struct Alarm {
    name: &'static str,
    stop: Option<CancellationToken>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The panic's own message went to stderr through the panic hook.
            tracing::error!(task = self.name, stops = self.stop.is_some(), "a task panicked");
            self.stop.iter().for_each(CancellationToken::cancel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Keeps what this thread logs.
    fn listen() -> (Log, tracing::subscriber::DefaultGuard) {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    #[tokio::test]
    async fn a_panic_is_logged_by_name_though_nobody_looks() {
        let (log, _listening) = listen();
        let tracker = TaskTracker::new();
        spawn_tracked(&tracker, "forgotten", async { panic!("of a test") });
        tracker.close();
        tracker.wait().await;
        assert!(log.text().contains("a task panicked task=\"forgotten\""), "{}", log.text());
    }

    #[tokio::test]
    async fn a_vital_tasks_panic_stops_the_process_and_its_end_does_not() {
        let (_log, _listening) = listen();
        let stop = CancellationToken::new();
        spawn_vital("ends", stop.clone(), async {}).await.unwrap();
        assert!(!stop.is_cancelled());
        let panic = async { panic!("of a test") };
        spawn_vital("panics", stop.clone(), panic).await.unwrap_err();
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_is_cut_short_raises_no_alarm() {
        let (log, _listening) = listen();
        let mut set = JoinSet::new();
        spawn_in(&mut set, "cut", std::future::pending::<()>());
        let cut = spawn("cut too", std::future::pending::<()>());
        tokio::task::yield_now().await;
        cut.abort();
        assert!(cut.await.unwrap_err().is_cancelled());
        set.shutdown().await;
        assert_eq!(log.text(), "");
    }
}
