//! Waiting for conditions.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Looks again and again until `look` finds what it looks for. An error of
/// `look` ends the wait; so does `within`, by an error that says `what` was
/// waited for.
pub async fn eventually<T, F, Fut>(what: &str, within: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if began.elapsed() > within {
            bail!("waited {within:?} in vain: {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}
