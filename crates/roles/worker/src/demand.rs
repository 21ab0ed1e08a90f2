//! How many blanks of a shape are worth having: as many as were taken lately.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Fewest: somebody who calls now and then waits for no VMM.
pub(crate) const LEAST: usize = 2;
/// Most: a burst that is larger starts the rest itself.
pub(crate) const MOST: usize = 8;
/// A burst is expected again for so long.
pub(crate) const LATELY: Duration = Duration::from_secs(300);

/// When blanks of a shape were taken, the last [`MOST`] times.
#[derive(Debug, Default)]
pub(crate) struct Demand(VecDeque<Instant>);

impl Demand {
    /// One is taken, or would be if there were one.
    pub(crate) fn note(&mut self) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Instant::now());
    }

    /// How many to have.
    pub(crate) fn depth(&self) -> usize {
        self.0.iter().filter(|taken| taken.elapsed() < LATELY).count().max(LEAST)
    }
}

/// What each gets of `most`, if it wants so many; those before others first.
pub(crate) fn shares(
    wanted: impl Iterator<Item = usize>,
    most: usize,
) -> impl Iterator<Item = usize> {
    wanted.scan(most, |left, wanted| {
        let share = wanted.min(*left);
        *left -= share;
        Some(share)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_first_is_served_first_and_never_more_than_there_is() {
        let of = |most| shares([8, 2].into_iter(), most).collect::<Vec<_>>();
        assert_eq!([of(16), of(9), of(8), of(2)], [[8, 2], [8, 1], [8, 0], [2, 0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_expected_again_for_a_while() {
        let mut demand = Demand::default();
        assert_eq!(demand.depth(), LEAST);
        (0..5).for_each(|_| demand.note());
        assert_eq!(demand.depth(), 5);
        tokio::time::advance(LATELY / 2).await;
        (0..50).for_each(|_| demand.note());
        assert_eq!(demand.depth(), MOST);
        tokio::time::advance(LATELY - Duration::from_secs(1)).await;
        assert_eq!(demand.depth(), MOST);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(demand.depth(), LEAST);
    }
}
