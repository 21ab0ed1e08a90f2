//! Starts on purpose: each invoke asks for a new sandbox and for the kind of start
//! that it is to have, so that one run shows them side by side.

use super::load::Until;
use super::samples::Samples;
use super::target::{Caller, Target};
use futures_util::future::try_join_all;
use hearth_types::StartKind;
use tokio::time::Instant;

/// A run of starts.
#[derive(Clone, Debug)]
pub(crate) struct Starts {
    /// The kinds, in turns. A warm one takes a sandbox that is idle, and leaves it so.
    pub(crate) kinds: Vec<StartKind>,
    /// Invokes at once.
    pub(crate) concurrency: usize,
    /// When it ends, to the next full round; counted are those of each kind.
    pub(crate) until: Until,
}

/// Runs the rounds: within each, every kind in turn, so that noise hits all alike.
pub(crate) async fn starts(target: &Target, starts: Starts) -> anyhow::Result<Samples> {
    let begun = Instant::now();
    let mut samples = Samples::default();
    for round in 0_u64.. {
        let done = match starts.until {
            Until::Count(count) => round.saturating_mul(starts.concurrency as u64) >= count,
            Until::Elapsed(limit) => begun.elapsed() >= limit,
        };
        if done || samples.is_full() {
            break;
        }
        for kind in &starts.kinds {
            let opening = (0..starts.concurrency).map(|_| target.caller_for(*kind));
            let mut callers = try_join_all(opening).await?;
            let outcomes = try_join_all(callers.iter_mut().map(Caller::invoke)).await?;
            outcomes.into_iter().for_each(|outcome| samples.add(outcome));
        }
    }
    samples.elapsed = begun.elapsed();
    Ok(samples)
}
