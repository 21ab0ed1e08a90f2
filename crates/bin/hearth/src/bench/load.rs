//! A steady load: so many connections, each invoking as soon as its last
//! invoke was answered.

use super::samples::{Outcome, Samples};
use super::target::Target;
use futures_util::future::try_join_all;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// After so many invokes.
    Count(u64),
    /// After so long.
    Elapsed(Duration),
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Connections.
    pub(crate) concurrency: usize,
    /// When it ends.
    pub(crate) until: Until,
}

/// Pause after a refusal, so that a full server is not asked a thousand times
/// a second.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);

/// Runs the load. A connection that breaks ends it with an error; an invoke
/// that fails is counted.
pub(crate) async fn load(target: &Target, load: Load) -> anyhow::Result<Samples> {
    let begun = Instant::now();
    let started = Cell::new(0_u64);
    let may_start = || match load.until {
        Until::Count(count) => started.get() < count,
        Until::Elapsed(limit) => begun.elapsed() < limit,
    };
    let connection = async || -> anyhow::Result<Samples> {
        let mut samples = Samples::default();
        let mut caller = target.caller().await?;
        while may_start() && !samples.is_full() {
            started.set(started.get() + 1);
            let outcome = caller.invoke().await?;
            let refused = matches!(outcome, Outcome::Failed(_));
            samples.add(outcome);
            if refused {
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
        Ok(samples)
    };
    let mut all = Samples::default();
    for samples in try_join_all((0..load.concurrency).map(|_| connection())).await? {
        all.merge(samples);
    }
    all.elapsed = begun.elapsed();
    Ok(all)
}
