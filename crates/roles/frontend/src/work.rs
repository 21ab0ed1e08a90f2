//! Work that grows with a body: done at once for most, and for large ones off
//! the event loop, where it would hold up everybody.

use crate::failure;
use bytes::Bytes;
use hearth_lambda_api::ApiError;
use hearth_types::RequestId;
use tokio::task::spawn_blocking;

/// Bodies above this are large: hashing a mebibyte, or reading it as JSON, takes
/// a millisecond and more.
const INLINE_BYTES_MAX: usize = 256 * 1024;

/// Does work on a request's body; `context` is what it needs to know besides.
pub(crate) async fn on_body<C, T>(
    request: RequestId,
    context: &C,
    body: &Bytes,
    work: fn(&C, &Bytes) -> T,
) -> Result<T, ApiError>
where
    C: Clone + Send + 'static,
    T: Send + 'static,
{
    if body.len() <= INLINE_BYTES_MAX {
        return Ok(work(context, body));
    }
    let (context, body) = (context.clone(), body.clone());
    spawn_blocking(move || work(&context, &body))
        .await
        .map_err(|panic| failure::internal(request, "work on a request's body", &panic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[tokio::test]
    async fn work_on_large_bodies_is_done_elsewhere() {
        for (bytes, here) in [(0, true), (INLINE_BYTES_MAX, true), (INLINE_BYTES_MAX + 1, false)] {
            let body = Bytes::from(vec![b' '; bytes]);
            let thread = |(): &(), _: &Bytes| thread::current().id();
            let done = on_body(RequestId::new(), &(), &body, thread).await.unwrap();
            assert_eq!(done == thread::current().id(), here, "{bytes} bytes");
        }
    }
}
