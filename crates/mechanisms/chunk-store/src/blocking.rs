//! Work for other threads: file I/O and ciphers.

/// Runs `work` where it may block, and gives a panic of it to the caller.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels it, together with this task.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
