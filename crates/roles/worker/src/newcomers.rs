//! Sandboxes that have not answered their first event yet. What a sandbox does for the
//! first time is slow enough; what can wait, waits for it.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longest that anything waits for newcomers: where one follows the other all the time,
/// or runs long, what waits is needed too.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newcomers(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Newcomer(Arc<watch::Sender<usize>>);

impl Newcomers {
    /// One more.
    pub(crate) fn add(&self) -> Newcomer {
        self.0.send_modify(|count| *count += 1);
        Newcomer(Arc::clone(&self.0))
    }

    /// Waits until there are none, if that comes soon.
    pub(crate) async fn settled(&self) {
        let mut count = self.0.subscribe();
        let _soon_enough =
            tokio::time::timeout(WAIT_MAX, count.wait_for(|count| *count == 0)).await;
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_waits_for_the_last_but_not_for_ever() {
        let newcomers = Newcomers::default();
        let began = Instant::now();
        newcomers.settled().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        let (first, second) = (newcomers.add(), newcomers.add());
        let answering = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(second);
        };
        tokio::join!(newcomers.settled(), answering);
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        let _runs_long = newcomers.add();
        newcomers.settled().await;
        assert_eq!(began.elapsed(), Duration::from_secs(2) + WAIT_MAX);
    }
}
