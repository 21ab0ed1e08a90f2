//! Writing to a file: into its overlay, whole pages at a time.

use super::{Failed, PagedFile, add};
use crate::PAGE_BYTES;
use crate::page::{PageNo, PageRun};
use bytes::Bytes;
use std::sync::Arc;

impl PagedFile {
    /// Writes bytes, then calls `done`, unless the file is closed meanwhile.
    /// Does not block.
    pub(crate) fn write(
        self: &Arc<Self>,
        offset: u64,
        bytes: Bytes,
        done: impl FnOnce(Result<(), Failed>) + Send + 'static,
    ) {
        let file = self.clone();
        self.go("page write", async move {
            let result = file.write_pages(offset, bytes).await;
            if let Err(failed) = result {
                add(&file.counters.failures, 1);
                tracing::debug!(file = file.id.0, "a write failed: {failed}");
            }
            done(result);
        });
    }

    async fn write_pages(self: &Arc<Self>, offset: u64, bytes: Bytes) -> Result<(), Failed> {
        let overlay = self.overlay.as_ref().ok_or(Failed::Closed)?;
        let len = bytes.len() as u64;
        let range = offset..offset.checked_add(len).ok_or(Failed::TooMuch)?;
        let run = PageRun::holding(&range, self.spec.size).ok_or(Failed::TooMuch)?;
        let _one_at_a_time = self.writing.lock().await;
        // Pages that are not written in full keep the rest of what they were.
        let mut ends = Vec::with_capacity(2);
        if !range.start.is_multiple_of(PAGE_BYTES) {
            ends.push(run.first);
        }
        if !range.end.is_multiple_of(PAGE_BYTES) {
            ends.push(PageNo(run.first.0 + run.count - 1));
        }
        ends.dedup();
        let failed = |error: std::io::Error| {
            tracing::error!(file = self.id.0, %error, "an overlay could not be written");
            Failed::Source
        };
        for page in ends {
            let written = self.core.lock().is_written(page);
            if !written {
                let before = self.read_page(page).await?;
                overlay.write(page.offset(), before).await.map_err(failed)?;
            }
        }
        overlay.write(offset, bytes).await.map_err(failed)?;
        self.core.lock().wrote(run);
        add(&self.counters.written_bytes, len);
        Ok(())
    }
}
