//! Who is asking: the signature's parts, the key, the verdict.

use crate::config::{AccessKey, Config};
use crate::{failure, work};
use bytes::Bytes;
use hearth_lambda_api::ApiError;
use hearth_sigv4::{BodyHash, HttpRequest, SigV4Error, SignedRequest, VerifiedHead};
use hearth_types::{AccountId, RequestId, Timestamp};
use http::request::Parts;
use std::sync::Arc;

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

impl Caller {
    /// Who signed, once that is verified.
    pub(crate) fn new(signed: &SignedRequest<'_>, key: Arc<AccessKey>) -> Self {
        Self {
            account: key.account.clone(),
            region: signed.region().to_owned(),
            access_key: signed.access_key().to_owned(),
            key,
        }
    }
}

/// Whom the request claims to be from: a known key, well-formed and current,
/// not yet verified. Done before the body is read, to turn strangers away, and
/// so that a slow body does not outlive its own signature.
pub(crate) async fn claim<'a>(
    config: &Config,
    parts: &'a Parts,
    request: RequestId,
) -> Result<(SignedRequest<'a>, Arc<AccessKey>), ApiError> {
    let http = HttpRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    };
    let signed = SignedRequest::parse(http, Timestamp::now()).map_err(failure::signature)?;
    let key = config
        .access_key(signed.access_key())
        .await
        .map_err(|error| failure::read(request, error))?
        .ok_or_else(|| failure::signature(SigV4Error::UnknownToken))?;
    Ok((signed, key))
}

/// Verifies the claim against everything that was received.
pub(crate) async fn verify(
    head: VerifiedHead<'_, '_>,
    body: &Bytes,
    request: RequestId,
) -> Result<(), ApiError> {
    let hash = work::on_body(request, &(), body, |(), body| BodyHash::of(body)).await?;
    head.verify_body(&hash).map_err(failure::signature)
}
