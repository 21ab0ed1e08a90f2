//! A file as a stream of its bytes, for whoever wants all of it.

use crate::bounds::STREAM_AHEAD;
use crate::fetch::ReadError;
use crate::file::StoredFile;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hearth_chunk_format::CHUNK_BYTES;

impl StoredFile {
    /// All of its bytes in order, zeros included. It ends with the first error.
    pub fn stream(&self) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
        let pieces = self.size().div_ceil(CHUNK_BYTES as u64);
        let file = self.clone();
        let read = move |piece| {
            let file = file.clone();
            async move { file.read_at(piece * CHUNK_BYTES as u64, CHUNK_BYTES).await }
        };
        let pieces = stream::iter(0..pieces).map(read).buffered(STREAM_AHEAD);
        pieces.scan(false, |failed, piece| {
            let next = (!*failed).then_some(piece);
            *failed = next.as_ref().is_some_and(Result::is_err);
            std::future::ready(next)
        })
    }
}
