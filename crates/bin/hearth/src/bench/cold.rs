//! Cold starts on purpose: before each round the function is changed, so no
//! sandbox that lives may serve it; then every connection invokes it at once.
//! If asked to, each then goes on with invokes that the new sandboxes serve
//! warm, so that one run shows both.
//!
//! What changes is the description, which no function can see. It is put back
//! afterwards, also when the run fails or is interrupted.

use super::load::Until;
use super::samples::Samples;
use super::target::{Caller, Target};
use anyhow::Context;
use futures_util::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;

/// A run of cold starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cold {
    /// Invokes at once in each round, each in a new sandbox.
    pub(crate) concurrency: usize,
    /// When it ends, to the next full round; counted are cold ones.
    pub(crate) until: Until,
    /// Warm invokes after each cold one.
    pub(crate) warm_each: u64,
}

/// Runs the rounds, and leaves the function with this description: its own.
pub(crate) async fn cold(
    target: &Target,
    description: &str,
    cold: Cold,
) -> anyhow::Result<Samples> {
    anyhow::ensure!(
        target.qualifier.as_deref().is_none_or(|q| q == "$LATEST"),
        "--cold changes the function, and a published version cannot be changed"
    );
    let result = tokio::select! {
        result = rounds(target, cold) => result,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(anyhow::anyhow!("interrupted"))
        }
    };
    let restored = describe(target, description).await;
    let samples = result?;
    restored.context("the function's description could not be put back")?;
    Ok(samples)
}

async fn rounds(target: &Target, cold: Cold) -> anyhow::Result<Samples> {
    let begun = Instant::now();
    let mut samples = Samples::default();
    for round in 0_u64.. {
        let done = match cold.until {
            Until::Count(count) => round.saturating_mul(cold.concurrency as u64) >= count,
            Until::Elapsed(limit) => begun.elapsed() >= limit,
        };
        if done || samples.is_full() {
            break;
        }
        describe(target, &format!("hearth bench, round {round}")).await?;
        let opening = (0..cold.concurrency).map(|_| target.caller());
        let mut callers = try_join_all(opening).await?;
        // All are cold before any is warm: none may take another's sandbox.
        let outcomes = try_join_all(callers.iter_mut().map(Caller::invoke)).await?;
        outcomes.into_iter().for_each(|outcome| samples.add(outcome));
        let warm = callers.iter_mut().map(|caller| warm(caller, cold.warm_each));
        try_join_all(warm).await?.into_iter().for_each(|more| samples.merge(more));
    }
    samples.elapsed = begun.elapsed();
    Ok(samples)
}

async fn warm(caller: &mut Caller<'_>, count: u64) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..count {
        samples.add(caller.invoke().await?);
    }
    Ok(samples)
}

async fn describe(target: &Target, description: &str) -> anyhow::Result<()> {
    let body = json!({ "Description": description });
    target.client.update_configuration(&target.name, &body).await?;
    target.client.wait_until_ready(&target.name, None).await?;
    Ok(())
}
