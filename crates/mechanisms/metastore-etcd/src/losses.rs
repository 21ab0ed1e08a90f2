//! When a watch that lost its stream is to try again, and when to give up. No I/O.

use std::time::Duration;
use tokio::time::Instant;

/// How long a lost watch is tried to be continued; more than an election takes, and
/// than a member that restarts.
pub(crate) const LOST_MAX: Duration = Duration::from_secs(60);
/// The pause between two tries.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// What to do after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try at once.
    AtOnce,
    /// Try again, but not before.
    After(Duration),
    /// It was lost for [`LOST_MAX`].
    GiveUp,
}

/// The losses of one watch.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    opened: Option<Instant>,
    lost_since: Option<Instant>,
}

impl Losses {
    /// There is a stream.
    pub(crate) fn opened(&mut self) {
        self.opened = Some(Instant::now());
    }

    /// It is over, or could not be had. One that ends as soon as it begins is as good as
    /// none: a member may open streams and have nothing to say on them.
    pub(crate) fn lost(&mut self) -> Next {
        if self.opened.take().is_some_and(|opened| opened.elapsed() >= PAUSE) {
            self.lost_since = None;
        }
        let Some(since) = self.lost_since else {
            self.lost_since = Some(Instant::now());
            return Next::AtOnce;
        };
        if since.elapsed() >= LOST_MAX { Next::GiveUp } else { Next::After(PAUSE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    /// Until it gives up: how long that takes.
    async fn endures(losses: &mut Losses, mut fail: impl FnMut(&mut Losses)) -> Duration {
        let began = Instant::now();
        loop {
            fail(losses);
            match losses.lost() {
                Next::AtOnce => {}
                Next::After(pause) => advance(pause).await,
                Next::GiveUp => return began.elapsed(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_stream_and_streams_that_end_at_once_are_given_up_alike() {
        for opens in [false, true] {
            let open = |losses: &mut Losses| {
                if opens {
                    losses.opened()
                }
            };
            assert_eq!(endures(&mut Losses::default(), open).await, LOST_MAX, "{opens}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_lost_long_ago_does_not_count() {
        let mut losses = Losses::default();
        for _ in 0..3 {
            assert_eq!(losses.lost(), Next::AtOnce);
            assert_eq!(losses.lost(), Next::After(PAUSE));
            losses.opened();
            // Nothing happens for long.
            advance(LOST_MAX * 2).await;
        }
        assert_eq!(losses.lost(), Next::AtOnce);
        assert_eq!(endures(&mut losses, |_| {}).await, LOST_MAX);
    }
}
