//! Reading pages of a file, wherever they come from.

use super::{Failed, PagedFile, Taker, Waiter, ZEROS, add};
use crate::core::{Demand, Origin, Piece, Refused};
use crate::page::{PageNo, PageRun};
use crate::{PAGE_BYTES, Source};
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

impl PagedFile {
    /// Gets pages for `taker`. Does not block.
    pub(crate) fn read(self: &Arc<Self>, run: PageRun, taker: Waiter) {
        let source = self.source.get();
        let demand = self.core.lock().demand(run, source.map(|source| &**source), &taker);
        match demand {
            Ok(Demand::Pieces(pieces)) => {
                for piece in pieces {
                    self.serve(piece, &taker);
                }
            }
            Ok(Demand::Waits) => self.await_bind(taker),
            Err(refused) => {
                let failed = match refused {
                    Refused::TooManyEarly => Failed::TooMuch,
                    Refused::Closed => Failed::Closed,
                };
                self.fail(run, &taker, failed);
            }
        }
    }

    fn serve(self: &Arc<Self>, piece: Piece, taker: &Waiter) {
        match piece {
            Piece::InHand(page, bytes) => taker.take(page, Ok(bytes)),
            Piece::From(Origin::Zeros, run) => {
                run.pages().for_each(|page| taker.take(page, Ok(Bytes::from_static(&ZEROS))));
            }
            Piece::From(Origin::Overlay, run) => self.read_overlay(run, taker.clone()),
            Piece::From(Origin::Source, run) => self.fetch(run),
        }
    }

    fn fail(&self, run: PageRun, taker: &Waiter, failed: Failed) {
        add(&self.counters.failures, 1);
        tracing::debug!(file = self.id.0, "pages are not served: {failed}");
        run.pages().for_each(|page| taker.take(page, Err(failed)));
    }

    /// One page, for ourselves.
    pub(super) async fn read_page(self: &Arc<Self>, page: PageNo) -> Result<Bytes, Failed> {
        let (taker, taken) = oneshot::channel();
        self.read(PageRun::one(page), Arc::new(OnePage(parking_lot::Mutex::new(Some(taker)))));
        taken.await.unwrap_or(Err(Failed::Closed))
    }

    fn await_bind(self: &Arc<Self>, taker: Waiter) {
        let file = self.clone();
        self.go("read before bind", async move {
            let bound = file.bound.clone().cancelled_owned();
            if tokio::time::timeout(file.waits.bind, bound).await.is_err() {
                let late = file.core.lock().give_up_early(|w| Arc::ptr_eq(w, &taker));
                if let Some((run, taker)) = late {
                    tracing::warn!(file = file.id.0, "a file was read and not bound in time");
                    file.fail(run, &taker, Failed::NotBound);
                }
            }
        });
    }

    fn read_overlay(self: &Arc<Self>, run: PageRun, taker: Waiter) {
        let file = self.clone();
        self.go("overlay read", async move {
            // Only a file with an overlay has pages that were written.
            let Some(overlay) = &file.overlay else { return };
            match overlay.read(run).await {
                Ok(bytes) => {
                    for (page, bytes) in split(run, &bytes) {
                        taker.take(page, Ok(bytes));
                    }
                }
                Err(error) => {
                    tracing::error!(file = file.id.0, %error, "an overlay could not be read");
                    file.fail(run, &taker, Failed::Source);
                }
            }
        });
    }

    /// Fetches pages from the source for whoever waits for them by then.
    pub(super) fn fetch(self: &Arc<Self>, run: PageRun) {
        let file = self.clone();
        self.go("page fetch", async move {
            // A fetch is only planned once there is a source.
            let Some(source) = file.source.get().cloned() else { return };
            let result = file.read_source(&*source, run).await;
            let arrived = file.core.lock().arrived(run);
            match result {
                Ok(bytes) => {
                    for (page, waiters) in arrived {
                        let at = (page.0 - run.first.0) as usize * PAGE_BYTES as usize;
                        let bytes = bytes.slice(at..at + PAGE_BYTES as usize);
                        waiters.iter().for_each(|waiter| waiter.take(page, Ok(bytes.clone())));
                    }
                }
                Err(error) => {
                    tracing::warn!(file = file.id.0, page = run.first.0, pages = run.count, %error,
                        "a source could not be read");
                    for (page, waiters) in arrived {
                        for waiter in &waiters {
                            file.fail(PageRun::one(page), waiter, Failed::Source);
                        }
                    }
                }
            }
        });
    }

    /// Whole pages of the source; beyond its end there are zeros.
    async fn read_source(&self, source: &dyn Source, run: PageRun) -> io::Result<Bytes> {
        let wanted = run.bytes();
        let end = wanted.end.min(source.size());
        let len = end.saturating_sub(wanted.start) as usize;
        let bytes = self.read_exactly(source, wanted.start, len).await?;
        add(&self.counters.source_reads, 1);
        add(&self.counters.source_bytes, len as u64);
        if end == wanted.end {
            return Ok(bytes);
        }
        let mut padded = BytesMut::from(&bytes[..]);
        padded.resize((wanted.end - wanted.start) as usize, 0);
        Ok(padded.freeze())
    }

    /// Exactly `len` bytes, in time.
    pub(super) async fn read_exactly(
        &self,
        source: &dyn Source,
        offset: u64,
        len: usize,
    ) -> io::Result<Bytes> {
        let bytes = tokio::time::timeout(self.waits.source, source.read_at(offset, len)).await??;
        if bytes.len() != len {
            let got = bytes.len();
            return Err(io::Error::other(format!("{got} bytes came, and {len} were asked for")));
        }
        Ok(bytes)
    }
}

/// The single pages of a run.
pub(super) fn split(run: PageRun, bytes: &Bytes) -> impl Iterator<Item = (PageNo, Bytes)> {
    const PAGE: usize = PAGE_BYTES as usize;
    run.pages().enumerate().map(move |(i, page)| (page, bytes.slice(i * PAGE..(i + 1) * PAGE)))
}

struct OnePage(parking_lot::Mutex<Option<oneshot::Sender<Result<Bytes, Failed>>>>);

impl Taker for OnePage {
    fn take(&self, _: PageNo, data: Result<Bytes, Failed>) {
        if let Some(taker) = self.0.lock().take() {
            // Whoever asked may have been cut short.
            let _nobody_waits = taker.send(data);
        }
    }
}
