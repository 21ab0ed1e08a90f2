//! Binding a file to its source, and fetching ahead what is likely needed.
//!
//! ```text
//!  pack: pages packed in the order of access, read in pieces, some at once
//!    │ piece by piece, in order
//!    ├── pages that somebody asked for meanwhile ──► the asker
//!    └── the rest, in hand ──► pusher thread ──► the asker's cache
//! ```

use super::{PagedFile, ZEROS, add};
use crate::core::Arrival;
use crate::pack::PIECE_PAGES;
use crate::page::PageNo;
use crate::stats::PrefetchReport;
use crate::{PAGE_BYTES, Source, WORKING_SET_PAGES_MAX};
use bytes::Bytes;
use futures_util::StreamExt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Pieces of one pack that are read at the same time: 16 MiB, all that most restores
/// touch, so that an origin far away costs one trip and not one for every few pieces.
const PIECES_MAX: usize = 32;
/// Pieces that wait to be pushed; reading waits for pushing beyond that.
const PUSHES_WAITING_MAX: usize = 8;
/// Most pages that are pushed by one call.
const PUSH_PAGES_MAX: usize = 32;

/// What to fetch ahead.
pub(crate) struct Ahead {
    /// `pages`, one after the other; none if there are none.
    pub(crate) pack: Option<Arc<dyn Source>>,
    pub(crate) pages: Vec<PageNo>,
    /// Pages that hold zeros, and are in no pack.
    pub(crate) zeros: Vec<PageNo>,
}

/// A file cannot be bound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error("it has a source already, or is removed")]
    NotNow,
    #[error("nothing can be fetched ahead for a file that is written")]
    Writable,
    #[error("the pages to fetch ahead are too many, or are not in the file or the pack")]
    Pages,
}

impl PagedFile {
    /// Gives the file its source, lets waiting reads go on, and starts fetching
    /// ahead.
    pub(crate) fn bind(
        self: &Arc<Self>,
        source: Arc<dyn Source>,
        ahead: Option<Ahead>,
    ) -> Result<(), BindError> {
        if let Some(ahead) = &ahead {
            self.check(ahead)?;
        }
        self.source.set(source).map_err(|_| BindError::NotNow)?;
        let early = {
            let mut core = self.core.lock();
            let early = core.bind().ok_or(BindError::NotNow)?;
            if let Some(ahead) = &ahead {
                core.expect(ahead.pages.iter().chain(&ahead.zeros).copied());
            }
            early
        };
        let since = self.created.elapsed().as_micros() as u64;
        let _once = self.counters.bind_us.set(since);
        self.bound.cancel();
        for (run, waiter) in early {
            self.read(run, waiter);
        }
        match ahead {
            Some(ahead) => {
                let file = self.clone();
                self.go("fetch ahead", async move { file.fetch_ahead(ahead).await });
            }
            None => drop(self.prefetched.send_replace(Some(PrefetchReport::default()))),
        }
        Ok(())
    }

    fn check(&self, ahead: &Ahead) -> Result<(), BindError> {
        if self.overlay.is_some() {
            // A push could overwrite in the kernel's cache what was written since.
            return Err(BindError::Writable);
        }
        let count = ahead.pages.len() + ahead.zeros.len();
        let packed = ahead.pack.as_ref().map_or(0, |pack| pack.size());
        let inside = |page: &PageNo| page.offset() < self.spec.size;
        let fits = count <= WORKING_SET_PAGES_MAX
            && ahead.pages.len() as u64 * PAGE_BYTES <= packed
            && ahead.pages.iter().chain(&ahead.zeros).all(inside);
        if fits { Ok(()) } else { Err(BindError::Pages) }
    }

    /// Waits until everything that was to be fetched ahead is where it belongs,
    /// or the file is closed.
    pub(crate) async fn prefetched(&self) -> Option<PrefetchReport> {
        let mut report = self.prefetched.subscribe();
        let done = async {
            // The sender is ours, so it is there.
            report.wait_for(Option::is_some).await.ok().and_then(|report| report.clone())
        };
        self.closed.run_until_cancelled(done).await.flatten()
    }

    async fn fetch_ahead(self: Arc<Self>, ahead: Ahead) {
        let began = Instant::now();
        let (pushes, mut waiting) = mpsc::channel::<Vec<(PageNo, Bytes)>>(PUSHES_WAITING_MAX);
        let file = self.clone();
        let pusher = tokio::task::spawn_blocking(move || {
            while let Some(pages) = waiting.blocking_recv() {
                file.push(pages);
            }
        });
        let zeros = ahead.zeros.iter().map(|page| (*page, Bytes::from_static(&ZEROS)));
        let mut whole = self.arrived_ahead(zeros, &pushes).await;
        let pieces = (0..ahead.pages.len()).step_by(PIECE_PAGES);
        let mut pieces = futures_util::stream::iter(pieces)
            .map(|start| {
                let pages = start..(start + PIECE_PAGES).min(ahead.pages.len());
                self.read_piece(ahead.pack.clone(), pages)
            })
            .buffered(PIECES_MAX);
        while let Some((pages, result)) = pieces.next().await {
            let pages = ahead.pages[pages].iter().copied();
            match result {
                Ok(bytes) => {
                    add(&self.counters.pack_bytes, bytes.len() as u64);
                    const PAGE: usize = PAGE_BYTES as usize;
                    let pages = pages.enumerate();
                    let pages =
                        pages.map(|(i, page)| (page, bytes.slice(i * PAGE..(i + 1) * PAGE)));
                    whole &= self.arrived_ahead(pages, &pushes).await;
                }
                Err(error) => {
                    tracing::warn!(file = self.id.0, %error, "a pack could not be read");
                    whole = false;
                    let fetch = self.core.lock().pack_failed(pages);
                    fetch.into_iter().for_each(|run| self.fetch(run));
                }
            }
        }
        drop(pushes);
        whole &= pusher.await.is_ok();
        let pages = self.core.lock().counts.pushed_pages;
        let micros = began.elapsed().as_micros() as u64;
        self.prefetched.send_replace(Some(PrefetchReport { pages, micros, whole }));
    }

    /// Reads some pages of a pack, counted from its start.
    async fn read_piece(
        &self,
        pack: Option<Arc<dyn Source>>,
        pages: Range<usize>,
    ) -> (Range<usize>, io::Result<Bytes>) {
        let offset = pages.start as u64 * PAGE_BYTES;
        let result = match pack {
            Some(pack) => {
                self.read_exactly(&*pack, offset, pages.len() * PAGE_BYTES as usize).await
            }
            // `check` lets no pages pass without a pack.
            None => Err(io::ErrorKind::NotFound.into()),
        };
        (pages, result)
    }

    /// Hands pages to who asked for them, and the others to the pusher; false if
    /// that is gone.
    async fn arrived_ahead(
        &self,
        pages: impl Iterator<Item = (PageNo, Bytes)>,
        pushes: &mpsc::Sender<Vec<(PageNo, Bytes)>>,
    ) -> bool {
        let Arrival { deliver, push } = self.core.lock().pack_arrived(pages);
        for (page, bytes, waiters) in deliver {
            waiters.iter().for_each(|waiter| waiter.take(page, Ok(bytes.clone())));
        }
        push.is_empty() || pushes.send(push).await.is_ok()
    }

    /// Puts pages into the cache, neighbours together. Blocks.
    fn push(&self, mut pages: Vec<(PageNo, Bytes)>) {
        pages.sort_unstable_by_key(|(page, _)| *page);
        let mut buffer = Vec::with_capacity(PUSH_PAGES_MAX * PAGE_BYTES as usize);
        for run in runs(&pages) {
            let cache = self.cache.lock().clone();
            let stored = match (cache, run) {
                (None, _) => Err(io::ErrorKind::NotFound.into()),
                (Some(cache), [(page, bytes)]) => cache.store(*page, bytes),
                (Some(cache), run) => {
                    buffer.clear();
                    run.iter().for_each(|(_, bytes)| buffer.extend_from_slice(bytes));
                    cache.store(run[0].0, &buffer)
                }
            };
            if let Err(error) = &stored {
                tracing::debug!(file = self.id.0, %error, "pages could not be pushed");
            }
            self.core.lock().pushed(run.iter().map(|(page, _)| *page), stored.is_ok());
        }
    }
}

/// Sorted pages, cut where they are not neighbours.
fn runs(pages: &[(PageNo, Bytes)]) -> impl Iterator<Item = &[(PageNo, Bytes)]> {
    pages.chunk_by(|(a, _), (b, _)| a.0 + 1 == b.0).flat_map(|run| run.chunks(PUSH_PAGES_MAX))
}
