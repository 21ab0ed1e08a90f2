//! Sandboxes that somebody waits for, until they have answered their first event. What a
//! sandbox does for the first time is slow enough; what can wait, waits for it.

use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

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

    /// Waits until there are none, but no longer than that.
    pub(crate) async fn settled(&self, until: Instant) {
        let mut count = self.0.subscribe();
        let none = count.wait_for(|count| *count == 0);
        let _soon_enough = tokio::time::timeout_at(until, none).await;
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
    use std::time::Duration;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_can_wait_waits_for_the_last_but_not_for_ever() {
        let newcomers = Newcomers::default();
        let began = Instant::now();
        let until = began + 5 * SECOND;
        newcomers.settled(until).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        let (first, second) = (newcomers.add(), newcomers.add());
        let answering = async {
            sleep(SECOND).await;
            drop(first);
            sleep(SECOND).await;
            drop(second);
        };
        tokio::join!(newcomers.settled(until), answering);
        assert_eq!(began.elapsed(), 2 * SECOND);
        let _runs_long = newcomers.add();
        newcomers.settled(until).await;
        assert_eq!(began.elapsed(), 5 * SECOND);
    }
}
