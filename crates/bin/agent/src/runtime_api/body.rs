//! Reads a request's body into frames, within bounds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearth_agent_proto::encode_bulk;
use hearth_types::INVOKE_RESPONSE_BYTES_MAX;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Bytes};

/// How much of an oversize body is read, and thrown away, before the
/// connection is given up: a client that is still sending sees no answer.
const DISCARD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much of a refused request's body is read so that its connection stays
/// in use; what Go's server, and so AWS's, does.
const REFUSED_BYTES_MAX: usize = 256 * 1024;

/// A body as far as it may be passed on.
pub(super) enum ReadBody {
    /// All of it, in bulk frames.
    Whole {
        /// The frames.
        frames: Vec<u8>,
        /// Length of the body.
        bytes: u32,
        /// A streamed answer that failed on the way says so in its trailers.
        failed: Option<Bytes>,
    },
    /// It was larger than an answer may be.
    TooLarge {
        /// Its size, as far as it was read.
        bytes: u64,
    },
}

/// Reads to the end; an error means that the body broke off.
pub(super) async fn read<B>(mut body: B) -> Result<ReadBody, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (mut frames, mut bytes, mut failed) = (Vec::new(), 0u64, None);
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                bytes += data.len() as u64;
                if bytes <= INVOKE_RESPONSE_BYTES_MAX as u64 {
                    encode_bulk(&data, &mut frames);
                } else {
                    frames = Vec::new();
                }
                if bytes > DISCARD_BYTES_MAX {
                    break;
                }
            }
            Err(frame) => failed = frame.into_trailers().ok().as_ref().and_then(stream_failure),
        }
    }
    Ok(if bytes <= INVOKE_RESPONSE_BYTES_MAX as u64 {
        ReadBody::Whole { frames, bytes: bytes as u32, failed }
    } else {
        ReadBody::TooLarge { bytes }
    })
}

/// Reads a body that nobody wants; a longer one costs its connection.
pub(super) async fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = REFUSED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The error JSON that a streaming runtime sends after a stream it cannot end.
fn stream_failure(trailers: &HeaderMap) -> Option<Bytes> {
    let kind = trailers.get("lambda-runtime-function-error-type")?;
    let body = trailers.get("lambda-runtime-function-error-body");
    let json = body.and_then(|b| BASE64.decode(b).ok()).filter(|json| !json.is_empty());
    Some(json.map_or_else(|| named_failure(kind.to_str().unwrap_or_default()), Bytes::from))
}

/// Error JSON for a failure of which only the type is known.
fn named_failure(kind: &str) -> Bytes {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let kind: String = kind.chars().filter(plain).collect();
    format!("{{\"errorMessage\":\"\",\"errorType\":\"{kind}\"}}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn trailers_tell_of_a_failed_stream() {
        let mut trailers = HeaderMap::new();
        assert_eq!(stream_failure(&trailers), None);
        let kind = "lambda-runtime-function-error-type";
        trailers.insert(kind, HeaderValue::from_static("Runtime.\"Oops"));
        let named = "{\"errorMessage\":\"\",\"errorType\":\"Runtime.Oops\"}";
        assert_eq!(stream_failure(&trailers).unwrap(), named);
        let body = "lambda-runtime-function-error-body";
        trailers.insert(body, HeaderValue::from_static("eyJhIjoxfQ=="));
        assert_eq!(stream_failure(&trailers).unwrap(), "{\"a\":1}");
        trailers.insert(body, HeaderValue::from_static("***"));
        assert_eq!(stream_failure(&trailers).unwrap(), named);
    }
}
