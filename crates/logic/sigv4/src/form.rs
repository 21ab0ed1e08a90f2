//! Reads the parts of a signature from either place that it may be in: the
//! `Authorization` header or the query of a presigned URL.

use crate::{ALGORITHM, PRESIGN_EXPIRES_S_MAX, SigV4Error, canonical};
use http::HeaderMap;
use std::borrow::Cow;

/// A signature's parts, not yet judged.
pub(crate) struct Form<'a> {
    pub(crate) credential: Cow<'a, str>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    pub(crate) date_time: Cow<'a, str>,
    /// Seconds of life of a presigned URL; `None` for the header form.
    pub(crate) expires_s: Option<i64>,
}

/// The name under which a presigned URL carries its signature; the only
/// parameter that is not signed.
pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

fn incomplete(text: &str) -> SigV4Error {
    SigV4Error::Incomplete(text.into())
}

/// The header form:
/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
pub(crate) fn from_header<'a>(
    authorization: &'a str,
    headers: &'a HeaderMap,
) -> Result<Form<'a>, SigV4Error> {
    let parameters =
        authorization.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' ')).ok_or_else(
            || incomplete("Authorization header requires the AWS4-HMAC-SHA256 algorithm."),
        )?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for parameter in parameters.split(',') {
        let Some((name, value)) = parameter.trim().split_once('=') else {
            return Err(incomplete(
                "not a valid key=value pair (missing equal-sign) in Authorization header.",
            ));
        };
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(incomplete("Authorization header repeats a parameter."));
        }
    }
    let required =
        |value: Option<&'a str>, text| value.map(Cow::Borrowed).ok_or_else(|| incomplete(text));
    let date_time = headers.get("x-amz-date").and_then(|v| v.to_str().ok());
    Ok(Form {
        credential: required(credential, "Authorization header requires 'Credential' parameter.")?,
        signed_headers: required(
            signed_headers,
            "Authorization header requires 'SignedHeaders' parameter.",
        )?,
        signature: required(signature, "Authorization header requires 'Signature' parameter.")?,
        date_time: required(date_time, "Authorization header requires a 'X-Amz-Date' header.")?,
        expires_s: None,
    })
}

/// Whether the query looks like a presigned one.
pub(crate) fn is_presigned(query: &str) -> bool {
    canonical::query_pairs(query).any(|(name, _)| {
        name.as_ref() == SIGNATURE_PARAMETER.as_bytes() || name.as_ref() == b"X-Amz-Algorithm"
    })
}

/// The presigned form.
pub(crate) fn from_query(query: &str) -> Result<Form<'_>, SigV4Error> {
    let take = |wanted: &'static str| {
        let mut found =
            canonical::query_pairs(query).filter(|(name, _)| name.as_ref() == wanted.as_bytes());
        let missing = || {
            SigV4Error::Incomplete(format!("AWS query-string parameters must include '{wanted}'."))
        };
        let (_, value) = found.next().ok_or_else(missing)?;
        if found.next().is_some() {
            return Err(SigV4Error::Incomplete(format!("'{wanted}' is given more than once.")));
        }
        match value {
            Cow::Borrowed(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| missing())
            }
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| missing()),
        }
    };
    if take("X-Amz-Algorithm")? != ALGORITHM {
        return Err(incomplete("X-Amz-Algorithm must be AWS4-HMAC-SHA256."));
    }
    let expires_s = take("X-Amz-Expires")?
        .parse::<i64>()
        .ok()
        .filter(|s| (1..=PRESIGN_EXPIRES_S_MAX).contains(s))
        .ok_or_else(|| incomplete("X-Amz-Expires must be a number of seconds up to a week."))?;
    Ok(Form {
        credential: take("X-Amz-Credential")?,
        signed_headers: take("X-Amz-SignedHeaders")?,
        signature: take(SIGNATURE_PARAMETER)?,
        date_time: take("X-Amz-Date")?,
        expires_s: Some(expires_s),
    })
}
