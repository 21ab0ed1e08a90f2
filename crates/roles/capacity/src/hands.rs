//! The provider at work: orders run beside the manager's rounds, few at once, and none
//! for longer than it may.

use crate::provider::{Ended, Machine, ProviderError, WorkerProvider};
use hearth_types::{NodeName, ZoneName};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout};

/// Orders that run at once: a provider has limits of its own, and a mistake shows in a few.
const AT_ONCE: usize = 4;
/// Longest that one may take; a provider that bounds itself ends before.
pub(crate) const ORDER_MAX: Duration = Duration::from_secs(90);
/// Pause after a first failure; twice as long after each further one in a row.
const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// Longest pause: what was broken for hours is found mended within minutes.
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// What a provider is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Up { zone: ZoneName, count: u32 },
    Down(Machine),
}

/// What became of it.
pub(crate) type Done = (Order, Result<(), ProviderError>);

/// The provider, and what it is doing.
pub(crate) struct Hands {
    provider: Option<Arc<dyn WorkerProvider>>,
    /// As many as there are workers and those that are coming, at most: none has two.
    waiting: VecDeque<Order>,
    running: JoinSet<Done>,
    orders: HashMap<Id, Order>,
}

impl Hands {
    pub(crate) fn new(provider: Option<Arc<dyn WorkerProvider>>) -> Self {
        let (waiting, running, orders) = Default::default();
        Self { provider, waiting, running, orders }
    }

    /// Whether there is a provider at all.
    pub(crate) fn can_act(&self) -> bool {
        self.provider.is_some()
    }

    pub(crate) fn owns(&self, node: &NodeName) -> bool {
        self.provider.as_ref().is_some_and(|provider| provider.owns(node))
    }

    pub(crate) fn ended(&self) -> Vec<Ended> {
        self.provider.as_ref().map(|provider| provider.ended()).unwrap_or_default()
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.waiting.push_back(order);
        self.begin();
    }

    /// What ended since this was asked last.
    pub(crate) fn collect(&mut self) -> Vec<Done> {
        let mut done = Vec::new();
        while let Some(ended) = self.running.try_join_next_with_id() {
            match ended {
                Ok((id, result)) => {
                    self.orders.remove(&id);
                    done.push(result);
                }
                // Its panic has been logged; what it did before nobody knows.
                Err(error) => {
                    let order = self.orders.remove(&error.id());
                    done.extend(order.map(|order| (order, Err(ProviderError::TimedOut))));
                }
            }
        }
        self.begin();
        done
    }

    fn begin(&mut self) {
        while self.running.len() < AT_ONCE
            && let Some(provider) = &self.provider
            && let Some(order) = self.waiting.pop_front()
        {
            tracing::info!(?order, "telling the provider of workers");
            let (provider, kept) = (Arc::clone(provider), order.clone());
            let task =
                hearth_tasks::spawn_in(&mut self.running, "provider of workers", async move {
                    let work = async {
                        match &order {
                            Order::Up { zone, count } => provider.scale_up(zone, *count).await,
                            Order::Down(machine) => provider.scale_down(machine).await,
                        }
                    };
                    let result = timeout(ORDER_MAX, work).await;
                    (order, result.unwrap_or(Err(ProviderError::TimedOut)))
                });
            self.orders.insert(task.id(), kept);
        }
    }
}

/// When what failed may be tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    pub(crate) fn failed(&mut self, now: Instant) {
        let pause = BACKOFF_MIN.saturating_mul(1u32 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause);
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn may_try(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_a_bound() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert!(backoff.may_try(now));
        for pause in [10, 20, 40, 80, 160, 320, 600, 600] {
            backoff.failed(now);
            let at = |s| now + Duration::from_secs(s);
            assert!(!backoff.may_try(at(pause - 1)) && backoff.may_try(at(pause)), "{pause}");
        }
    }
}
