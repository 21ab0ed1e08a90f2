//! Who is asking: the signature's parts, the key, the verdict.

use crate::config::{AccessKey, Config};
use crate::failure;
use bytes::Bytes;
use hearth_lambda_api::ApiError;
use hearth_sigv4::{HttpRequest, SigV4Error, SignedRequest};
use hearth_types::{AccountId, RequestId, Timestamp};
use http::request::Parts;
use std::sync::Arc;

/// Bodies above this are hashed off the event loop: 1 MiB takes it about 1 ms.
const HASH_INLINE_BYTES_MAX: usize = 256 * 1024;

/// An authenticated caller.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The account that the key speaks for.
    pub(crate) account: AccountId,
    /// The region that was signed for.
    pub(crate) region: String,
    /// The key's public half.
    pub(crate) access_key: String,
    /// The key, for links that the caller is given.
    pub(crate) key: Arc<AccessKey>,
}

fn http(parts: &Parts) -> HttpRequest<'_> {
    HttpRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    }
}

/// Whom the request claims to be from: a known key, well-formed and current,
/// not yet verified. Done before the body is read, to turn strangers away.
pub(crate) async fn claim(
    config: &Config,
    parts: &Parts,
    now: Timestamp,
    request: RequestId,
) -> Result<Caller, ApiError> {
    let signed = SignedRequest::parse(http(parts), now).map_err(failure::signature)?;
    let key = config
        .access_key(signed.access_key())
        .await
        .map_err(|error| failure::read(request, error))?
        .ok_or_else(|| failure::signature(SigV4Error::UnknownToken))?;
    Ok(Caller {
        account: key.account.clone(),
        region: signed.region().to_owned(),
        access_key: signed.access_key().to_owned(),
        key,
    })
}

/// Verifies the claim against everything that was received. `now` is the time
/// of the claim, so a slow body does not outlive its own signature.
pub(crate) async fn verify(
    caller: &Caller,
    parts: Parts,
    body: &Bytes,
    now: Timestamp,
) -> Result<Parts, ApiError> {
    let (key, body) = (caller.key.clone(), body.clone());
    let small = body.len() <= HASH_INLINE_BYTES_MAX;
    let check = move || {
        let verdict = SignedRequest::parse(http(&parts), now)
            .and_then(|signed| signed.verify(&key.secret, &body))
            .map_err(failure::signature);
        verdict.map(|()| parts)
    };
    if small {
        return check();
    }
    tokio::task::spawn_blocking(check).await.unwrap_or_else(|_panicked| Err(ApiError::service()))
}
