//! The bookkeeping of one file's pages: which comes from where, who waits for
//! it, which were touched. No I/O, and it knows nothing of who asks.
//!
//! ```text
//!            demand                 arrived
//!  (absent) ───────► coming, waiters ─────► (absent: the asker's cache has it)
//!      │   expect       │     ▲
//!      └────────────────┘     │ demand joins: one fetch for all who ask
//!               pack_arrived, nobody waits
//!                       └───► in hand ───► pushed (absent)
//!  written: in the overlay, for good
//! ```
//!
//! A page in hand answers a demand at once. So whoever pushes it never waits
//! for a demand that waits for a source.

mod pack;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use pack::Arrival;

use crate::page::{PageNo, PageRun, PageSet};
use crate::{PAGE_BYTES, Source};
use bytes::Bytes;
pub(crate) use record::RECORD_PAGES_MAX;
use record::Record;
use std::collections::HashMap;

/// Demands that a file without a source yet may have waiting: one for each
/// thread of the VMM that opened it.
const EARLY_MAX: usize = 64;

/// Bookkeeping of one file; `W` is whoever waits for pages.
pub(crate) struct Core<W> {
    phase: Phase<W>,
    written: PageSet,
    record: Record,
    coming: HashMap<PageNo, Vec<W>>,
    in_hand: HashMap<PageNo, Bytes>,
    pub(crate) counts: Counts,
}

enum Phase<W> {
    /// No source yet; these wait for it.
    Unbound(Vec<(PageRun, W)>),
    Bound,
    /// Removed: nothing is served any more.
    Closed,
}

/// What happened to a file, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) pages: u64,
    pub(crate) zero_pages: u64,
    pub(crate) source_pages: u64,
    pub(crate) joined_pages: u64,
    pub(crate) pushed_pages: u64,
}

/// A part of what was demanded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// It is here.
    InHand(PageNo, Bytes),
    /// It comes from there.
    From(Origin, PageRun),
}

/// Where pages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// They are all zeros.
    Zeros,
    /// They were written.
    Overlay,
    /// To fetch them is the caller's duty now; then [`Core::arrived`] is to be
    /// called.
    Source,
}

/// How a demand is served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// From these; parts that are not here come with others on their way.
    Pieces(Vec<Piece>),
    /// Not before the file is bound; see [`Core::give_up_early`].
    Waits,
}

/// Why a demand is not served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TooManyEarly,
    Closed,
}

impl<W: Clone> Core<W> {
    pub(crate) fn new(pages: u32) -> Self {
        Self {
            phase: Phase::Unbound(Vec::new()),
            written: PageSet::new(pages),
            record: Record::new(pages),
            coming: HashMap::new(),
            in_hand: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Asks for pages.
    pub(crate) fn demand(
        &mut self,
        run: PageRun,
        source: Option<&dyn Source>,
        waiter: &W,
    ) -> Result<Demand, Refused> {
        self.counts.requests += 1;
        self.counts.pages += u64::from(run.count);
        match (&mut self.phase, source) {
            (Phase::Closed, _) => Err(Refused::Closed),
            (Phase::Unbound(early), _) if early.len() >= EARLY_MAX => Err(Refused::TooManyEarly),
            (Phase::Unbound(early), _) => {
                early.push((run, waiter.clone()));
                Ok(Demand::Waits)
            }
            (Phase::Bound, Some(source)) => Ok(Demand::Pieces(self.pieces(run, source, waiter))),
            // Bound means that there is a source.
            (Phase::Bound, None) => Err(Refused::Closed),
        }
    }

    fn pieces(&mut self, run: PageRun, source: &dyn Source, waiter: &W) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut holes = Holes::new(source);
        for page in run.pages() {
            if self.written.contains(page) {
                add(&mut pieces, Origin::Overlay, page);
                continue;
            }
            self.record.touch(page);
            if let Some(bytes) = self.in_hand.get(&page) {
                pieces.push(Piece::InHand(page, bytes.clone()));
            } else if let Some(waiters) = self.coming.get_mut(&page) {
                self.counts.joined_pages += 1;
                waiters.push(waiter.clone());
            } else if holes.hides(page) {
                self.counts.zero_pages += 1;
                add(&mut pieces, Origin::Zeros, page);
            } else {
                self.counts.source_pages += 1;
                self.coming.insert(page, vec![waiter.clone()]);
                add(&mut pieces, Origin::Source, page);
            }
        }
        pieces
    }

    /// Gives the file its source; returns who waited for it, to demand again.
    /// None if it has one already, or is removed.
    pub(crate) fn bind(&mut self) -> Option<Vec<(PageRun, W)>> {
        match &mut self.phase {
            Phase::Unbound(early) => {
                let early = std::mem::take(early);
                // They will be counted again.
                self.counts = Counts::default();
                self.phase = Phase::Bound;
                Some(early)
            }
            Phase::Bound | Phase::Closed => None,
        }
    }

    /// Takes away who has waited too long for a source.
    pub(crate) fn give_up_early(&mut self, is: impl Fn(&W) -> bool) -> Option<(PageRun, W)> {
        let Phase::Unbound(early) = &mut self.phase else { return None };
        let index = early.iter().position(|(_, waiter)| is(waiter))?;
        Some(early.swap_remove(index))
    }

    /// Fetched pages are here, or will not come: who waits for each.
    pub(crate) fn arrived(&mut self, run: PageRun) -> Vec<(PageNo, Vec<W>)> {
        run.pages().filter_map(|p| self.coming.remove(&p).map(|w| (p, w))).collect()
    }

    /// Pages are in the overlay from now on.
    pub(crate) fn wrote(&mut self, run: PageRun) {
        for page in run.pages() {
            self.written.insert(page);
        }
    }

    pub(crate) fn is_written(&self, page: PageNo) -> bool {
        self.written.contains(page)
    }

    /// The first pages from `page` on that were written.
    pub(crate) fn next_written(&self, page: PageNo) -> Option<PageRun> {
        self.written.next_run(page)
    }

    /// Serves nothing from now on; returns all who wait.
    pub(crate) fn close(&mut self) -> Vec<W> {
        let early = match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Unbound(early) => early,
            Phase::Bound | Phase::Closed => Vec::new(),
        };
        self.in_hand.clear();
        let early = early.into_iter().map(|(_, waiter)| waiter);
        early.chain(self.coming.drain().flat_map(|(_, waiters)| waiters)).collect()
    }
}

/// Adds a page to the last piece if it continues it.
fn add(pieces: &mut Vec<Piece>, origin: Origin, page: PageNo) {
    if let Some(Piece::From(last, run)) = pieces.last_mut()
        && *last == origin
        && run.extend(page)
    {
        return;
    }
    pieces.push(Piece::From(origin, PageRun::one(page)));
}

/// Remembers the last stretch of data, as pages are asked about in order.
struct Holes<'a> {
    source: &'a dyn Source,
    /// Before this offset, the answer for data is `data`.
    known: std::ops::Range<u64>,
    next: Option<std::ops::Range<u64>>,
}

impl<'a> Holes<'a> {
    fn new(source: &'a dyn Source) -> Self {
        Self { source, known: 0..0, next: None }
    }

    /// Whether a page is all zeros, as the source says without reading.
    fn hides(&mut self, page: PageNo) -> bool {
        let offset = page.offset();
        if !self.known.contains(&offset) {
            self.next = self.source.next_data(offset);
            self.known = offset..self.next.as_ref().map_or(u64::MAX, |next| next.end);
        }
        self.next.as_ref().is_none_or(|data| data.start >= offset + PAGE_BYTES)
    }
}
