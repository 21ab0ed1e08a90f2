//! Work that others do: threads for file I/O and ciphers, and tasks.

use tokio::task::JoinHandle;

/// Runs `work` where it may block, and gives a panic of it to the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    join(tokio::task::spawn_blocking(work)).await
}

/// Waits for a task that nobody aborts, and gives a panic of it to the caller.
pub(crate) async fn join<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels it, together with this task.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
