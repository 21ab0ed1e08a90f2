//! A pool of blanks, so that a restore does not wait for a VMM to start: for each of
//! the shapes wanted last a few, refilled in the background.

use crate::blank::{Blank, BlankError};
use crate::shape::Shape;
use crate::{Serving, WorkerService, snapshot_metrics};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Blanks kept of a shape: a burst empties them, and those after it start their own.
const BLANKS_PER_SHAPE: usize = 2;
/// Shapes kept: those wanted last.
const SHAPES_MAX: usize = 2;
/// All of them. Each takes about 15 MB of host memory, and one of the driver's slots.
pub const BLANKS_MAX: usize = BLANKS_PER_SHAPE * SHAPES_MAX;

#[derive(Default)]
pub(crate) struct Pool {
    /// The shape wanted last is last.
    shapes: Mutex<Vec<(Shape, VecDeque<Blank>)>>,
    /// One refill runs at a time.
    refilling: tokio::sync::Mutex<()>,
}

impl Pool {
    /// A blank, and those before it that are of no use any more: they died, or their
    /// page server did.
    fn pop(&self, shape: Shape, generation: u64) -> (Option<Blank>, Vec<Blank>) {
        let mut shapes = self.shapes.lock();
        let mut useless = vec![];
        let blanks = shapes.iter_mut().find(|(other, _)| *other == shape);
        for blank in
            blanks.into_iter().flat_map(|(_, blanks)| std::iter::from_fn(|| blanks.pop_front()))
        {
            if blank.is_alive() && blank.generation == generation {
                return (Some(blank), useless);
            }
            useless.push(blank);
        }
        (None, useless)
    }

    /// Notes that a shape is wanted; what has to go for it.
    fn want(&self, shape: Shape) -> VecDeque<Blank> {
        let mut shapes = self.shapes.lock();
        match shapes.iter().position(|(other, _)| *other == shape) {
            Some(at) => {
                let wanted = shapes.remove(at);
                shapes.push(wanted);
            }
            None => shapes.push((shape, VecDeque::new())),
        }
        match shapes.len() > SHAPES_MAX {
            true => shapes.remove(0).1,
            false => VecDeque::new(),
        }
    }

    /// The next shape of which there are too few.
    fn lacking(&self) -> Option<Shape> {
        let shapes = self.shapes.lock();
        let lacks = |(_, blanks): &&(Shape, VecDeque<Blank>)| blanks.len() < BLANKS_PER_SHAPE;
        shapes.iter().rev().find(lacks).map(|(shape, _)| *shape)
    }

    /// Keeps a blank if it is still wanted.
    fn push(&self, shape: Shape, blank: Blank) -> Option<Blank> {
        let mut shapes = self.shapes.lock();
        match shapes.iter_mut().find(|(other, _)| *other == shape) {
            Some((_, blanks)) if blanks.len() < BLANKS_PER_SHAPE => {
                blanks.push_back(blank);
                None
            }
            _ => Some(blank),
        }
    }

    /// Ends all of them.
    pub(crate) async fn clear(&self) {
        let all = std::mem::take(&mut *self.shapes.lock());
        for blank in all.into_iter().flat_map(|(_, blanks)| blanks) {
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
    let (pooled, useless) = worker.pool.pop(shape, worker.page_server_generation());
    for blank in useless {
        blank.discard().await;
    }
    snapshot_metrics::blank(pooled.is_some());
    match pooled {
        Some(blank) => Ok(blank),
        None => Blank::start(worker, serving, shape).await,
    }
}

/// Brings the pool up to what is wanted, in the background: call it when whoever
/// wanted a blank has become a sandbox, for starting VMMs takes time from it.
pub(crate) fn refill(worker: &Arc<WorkerService>, shape: Shape) {
    let gone = worker.pool.want(shape);
    let weak = Arc::downgrade(worker);
    hearth_tasks::spawn_tracked(&worker.watchers, "pool of VMMs", async move {
        for blank in gone {
            blank.discard().await;
        }
        let Some(worker) = weak.upgrade() else { return };
        let Ok(_alone) = worker.pool.refilling.try_lock() else { return };
        let Some(serving) = &worker.serving else { return };
        while let Some(shape) = worker.pool.lacking() {
            // Behind all that somebody waits for: starting a VMM takes time from them.
            let Ok(_place) = worker.starts.acquire().await else { return };
            match Blank::start(&worker, serving, shape).await {
                // The pool may have been cleared for good meanwhile.
                Ok(blank) if worker.starts.is_closed() => return blank.discard().await,
                Ok(blank) => {
                    if let Some(unwanted) = worker.pool.push(shape, blank) {
                        unwanted.discard().await;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a VMM could not be made ready ahead"
                    );
                    return;
                }
            }
        }
    });
}
