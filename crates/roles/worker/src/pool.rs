//! A pool of blanks, so that a restore does not wait for a VMM to start: for each of
//! the shapes wanted last as many as are in demand, refilled in the background.

use crate::blank::{Blank, BlankError};
use crate::demand::{self, Demand};
use crate::shape::Shape;
use crate::{Serving, WorkerService, snapshot_metrics};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Shapes kept: those wanted last.
const SHAPES_MAX: usize = 2;
/// All of them, where there is memory for so many.
pub const BLANKS_MAX: usize = demand::MOST * SHAPES_MAX;
/// What one takes of the host's memory, and what all may take beside the sandboxes, in
/// percent of theirs.
const BLANK_BYTES: u64 = 15 * 1024 * 1024;
const MEMORY_PERCENT: u64 = 2;
/// How long a refill waits for newcomers: where one follows the other all the time, or
/// runs long, blanks are needed too.
const NEWCOMERS_WAIT_MAX: Duration = Duration::from_secs(5);

/// What waits of a shape.
struct Stock {
    shape: Shape,
    demand: Demand,
    blanks: VecDeque<Blank>,
}

pub(crate) struct Pool {
    /// The shape wanted last is last.
    stocks: Mutex<Vec<Stock>>,
    /// Most blanks of all shapes.
    blanks_max: usize,
    /// One refill runs at a time.
    refilling: tokio::sync::Mutex<()>,
    /// So does one trim.
    trimming: Arc<tokio::sync::Mutex<()>>,
}

impl Pool {
    /// One beside sandboxes that have so much memory.
    pub(crate) fn beside(memory_bytes: u64) -> Self {
        let blanks = memory_bytes / 100 * MEMORY_PERCENT / BLANK_BYTES;
        Self {
            stocks: Mutex::default(),
            blanks_max: (blanks as usize).clamp(demand::LEAST, BLANKS_MAX),
            refilling: tokio::sync::Mutex::default(),
            trimming: Arc::default(),
        }
    }

    /// A blank, and those that are of no use any more: they or their page server died,
    /// or their shape is wanted no longer.
    fn take(&self, shape: Shape, generation: u64) -> (Option<Blank>, VecDeque<Blank>) {
        let mut stocks = self.stocks.lock();
        let stock = match stocks.iter().position(|stock| stock.shape == shape) {
            Some(at) => stocks.remove(at),
            None => Stock { shape, demand: Demand::default(), blanks: VecDeque::new() },
        };
        stocks.push(stock);
        let mut useless = match stocks.len() > SHAPES_MAX {
            true => stocks.remove(0).blanks,
            false => VecDeque::new(),
        };
        let stock = stocks.last_mut().expect("just pushed");
        stock.demand.note();
        while let Some(blank) = stock.blanks.pop_front() {
            if blank.is_alive() && blank.generation == generation {
                return (Some(blank), useless);
            }
            useless.push_back(blank);
        }
        (None, useless)
    }

    /// The stocks and how many blanks each is to have, those wanted last first.
    fn shares<'a>(
        &self,
        stocks: &'a mut [Stock],
    ) -> impl Iterator<Item = (&'a mut Stock, usize)> + use<'a> {
        let depths: Vec<usize> = stocks.iter().rev().map(|stock| stock.demand.depth()).collect();
        stocks.iter_mut().rev().zip(demand::shares(depths.into_iter(), self.blanks_max))
    }

    /// The next shape of which there are too few.
    fn lacking(&self) -> Option<Shape> {
        let mut stocks = self.stocks.lock();
        let mut shares = self.shares(&mut stocks);
        shares.find(|(stock, share)| stock.blanks.len() < *share).map(|(stock, _)| stock.shape)
    }

    /// Keeps a blank if it is still wanted.
    fn push(&self, shape: Shape, blank: Blank) -> Option<Blank> {
        let mut stocks = self.stocks.lock();
        match self.shares(&mut stocks).find(|(stock, _)| stock.shape == shape) {
            Some((stock, share)) if stock.blanks.len() < share => {
                stock.blanks.push_back(blank);
                None
            }
            _ => Some(blank),
        }
    }

    /// Those that are more than there are to be.
    fn surplus(&self) -> Vec<Blank> {
        let mut stocks = self.stocks.lock();
        let surplus = self.shares(&mut stocks).flat_map(|(stock, share)| {
            let kept = share.min(stock.blanks.len());
            stock.blanks.split_off(kept)
        });
        surplus.collect()
    }

    /// Whether there are more of a shape than there would be without any demand.
    fn has_for_a_burst(&self) -> bool {
        self.stocks.lock().iter().any(|stock| stock.blanks.len() > demand::LEAST)
    }

    /// Ends all of them.
    pub(crate) async fn clear(&self) {
        let all = std::mem::take(&mut *self.stocks.lock());
        for blank in all.into_iter().flat_map(|stock| stock.blanks) {
            blank.discard().await;
        }
    }
}

/// A blank: one from the pool, else one that is started now.
pub(crate) async fn take(
    worker: &Arc<WorkerService>,
    serving: &Serving,
    shape: Shape,
) -> Result<Blank, BlankError> {
    let (pooled, useless) = worker.pool.take(shape, worker.page_server_generation());
    if !useless.is_empty() {
        discard(worker, useless);
    }
    snapshot_metrics::blank(pooled.is_some());
    match pooled {
        Some(blank) => Ok(blank),
        None => Blank::start(worker, serving, shape).await,
    }
}

/// Ends blanks out of the way of whoever waits for a start.
fn discard(worker: &Arc<WorkerService>, blanks: VecDeque<Blank>) {
    hearth_tasks::spawn_tracked(&worker.watchers, "useless VMMs", async move {
        for blank in blanks {
            blank.discard().await;
        }
    });
}

/// Brings the pool to what is in demand, in the background: call it when whoever took a
/// blank has become a sandbox, for starting VMMs takes time from it.
pub(crate) fn refill(worker: &Arc<WorkerService>) {
    let weak = Arc::downgrade(worker);
    hearth_tasks::spawn_tracked(&worker.watchers, "pool of VMMs", async move {
        let Some(worker) = weak.upgrade() else { return };
        let Some(serving) = &worker.serving else { return };
        // One that came while another was just ending is not forgotten.
        while worker.pool.lacking().is_some() {
            let Ok(_alone) = worker.pool.refilling.try_lock() else { return };
            if fill(&worker, serving).await.is_none() {
                return;
            }
        }
        if worker.pool.has_for_a_burst() {
            trim_later(&worker);
        }
    });
}

/// Nothing if it was given up.
async fn fill(worker: &Arc<WorkerService>, serving: &Serving) -> Option<()> {
    let patience = Instant::now() + NEWCOMERS_WAIT_MAX;
    loop {
        // Of a shape that was wanted before, where there is not memory for both.
        for blank in worker.pool.surplus() {
            blank.discard().await;
        }
        let Some(shape) = worker.pool.lacking() else { return Some(()) };
        // Behind all that somebody waits for: starting a VMM takes time from them.
        worker.stopping.run_until_cancelled(worker.newcomers.settled(patience)).await?;
        let _place = worker.starts.acquire().await.ok()?;
        match Blank::start(worker, serving, shape).await {
            // The pool may have been cleared for good meanwhile.
            Ok(blank) if worker.starts.is_closed() => {
                blank.discard().await;
                return None;
            }
            Ok(blank) => {
                if let Some(unwanted) = worker.pool.push(shape, blank) {
                    unwanted.discard().await;
                }
            }
            // What it was to run on is being taken down.
            Err(_) if worker.stopping.is_cancelled() => return None,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a VMM could not be made ready ahead");
                return None;
            }
        }
    }
}

/// Gives back what a burst left, once it is not in demand any more.
fn trim_later(worker: &Arc<WorkerService>) {
    let Ok(alone) = Arc::clone(&worker.pool.trimming).try_lock_owned() else { return };
    let (weak, stopping) = (Arc::downgrade(worker), worker.stopping.clone());
    hearth_tasks::spawn_tracked(&worker.watchers, "trim of the pool", async move {
        let _alone = alone;
        while stopping.run_until_cancelled(tokio::time::sleep(demand::LATELY)).await.is_some() {
            let Some(worker) = weak.upgrade() else { return };
            for blank in worker.pool.surplus() {
                blank.discard().await;
            }
            if !worker.pool.has_for_a_burst() {
                return;
            }
        }
    });
}
