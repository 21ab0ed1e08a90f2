//! A read that the kernel waits for.

use crate::PAGE_BYTES;
use crate::page::{PageNo, PageRun};
use crate::paged_file::{Failed, Taker};
use bytes::Bytes;
use fuser::{Errno, ReplyData};
use parking_lot::Mutex;
use std::ops::Range;
use tokio::sync::OwnedSemaphorePermit;

/// Collects the pages of one read, and replies when all are there, or one
/// cannot be had. Dropped before that, it replies with `EIO`.
pub(super) struct PendingRead {
    first: PageNo,
    /// Which bytes of the pages are wanted.
    wanted: Range<usize>,
    parts: Mutex<Parts>,
    _one_of_the_file: OwnedSemaphorePermit,
}

struct Parts {
    reply: Option<ReplyData>,
    pages: Vec<Option<Bytes>>,
    missing: usize,
}

impl PendingRead {
    /// A read of `bytes`, which `run` holds.
    pub(super) fn new(
        run: PageRun,
        bytes: &Range<u64>,
        reply: ReplyData,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let start = (bytes.start - run.first.offset()) as usize;
        let pages = vec![None; run.count as usize];
        Self {
            first: run.first,
            wanted: start..start + (bytes.end - bytes.start) as usize,
            parts: Mutex::new(Parts { reply: Some(reply), missing: pages.len(), pages }),
            _one_of_the_file: permit,
        }
    }
}

impl Taker for PendingRead {
    fn take(&self, page: PageNo, data: Result<Bytes, Failed>) {
        let mut parts = self.parts.lock();
        match data {
            Ok(bytes) => {
                let index = page.0.wrapping_sub(self.first.0) as usize;
                let Some(place @ None) = parts.pages.get_mut(index) else { return };
                *place = Some(bytes);
                parts.missing -= 1;
                if parts.missing > 0 {
                    return;
                }
                let pages = std::mem::take(&mut parts.pages);
                let Some(reply) = parts.reply.take() else { return };
                drop(parts);
                self.send(reply, &pages);
            }
            Err(_) => {
                let reply = parts.reply.take();
                drop(parts);
                reply.into_iter().for_each(|reply| reply.error(Errno::EIO));
            }
        }
    }
}

impl PendingRead {
    fn send(&self, reply: ReplyData, pages: &[Option<Bytes>]) {
        if let [Some(page)] = pages {
            return reply.data(&page[self.wanted.clone()]);
        }
        let mut all = Vec::with_capacity(pages.len() * PAGE_BYTES as usize);
        pages.iter().flatten().for_each(|page| all.extend_from_slice(page));
        reply.data(&all[self.wanted.clone()]);
    }
}
