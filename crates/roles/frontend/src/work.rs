//! Work that grows with a body: done at once for most, and for large ones off
//! the event loop, where it would hold up everybody.

use bytes::Bytes;
use http::HeaderMap;
use tokio::task::{JoinError, spawn_blocking};

/// Bodies above this are large: hashing a mebibyte, or reading it as JSON, takes
/// a millisecond and more.
pub(crate) const INLINE_BYTES_MAX: usize = 256 * 1024;

/// Reads a request out of its head and body.
pub(crate) async fn read<T: Send + 'static>(
    headers: &HeaderMap,
    body: Bytes,
    read: fn(&HeaderMap, Bytes) -> T,
) -> Result<T, JoinError> {
    if body.len() <= INLINE_BYTES_MAX {
        return Ok(read(headers, body));
    }
    let headers = headers.clone();
    spawn_blocking(move || read(&headers, body)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[tokio::test]
    async fn large_bodies_are_read_elsewhere() {
        for (bytes, here) in [(0, true), (INLINE_BYTES_MAX, true), (INLINE_BYTES_MAX + 1, false)] {
            let body = Bytes::from(vec![b' '; bytes]);
            let thread = |_: &HeaderMap, _| thread::current().id();
            let read = read(&HeaderMap::new(), body, thread).await.unwrap();
            assert_eq!(read == thread::current().id(), here, "{bytes} bytes");
        }
    }
}
