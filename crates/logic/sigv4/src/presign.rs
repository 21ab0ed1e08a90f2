//! Makes presigned URLs: the same signature, the client's side, for links that
//! Hearth hands out to its own endpoints.

use crate::request::{canonical_request, sign};
use crate::scope::TERMINATOR;
use crate::{ALGORITHM, BodyHash, HttpRequest, SERVICE, SecretKey, date, form};
use hearth_types::Timestamp;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A link to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Presign<'a> {
    /// The host and port that the link will be asked at.
    pub host: &'a HeaderValue,
    /// The path, percent-encoded.
    pub path: &'a str,
    /// The query to begin with, percent-encoded, not empty.
    pub query: &'a str,
    /// Who signs.
    pub access_key: &'a str,
    /// The region to sign for.
    pub region: &'a str,
    /// How long it is good for, in seconds.
    pub expires_s: i64,
}

/// Path and query of a `GET` that is good until it expires.
pub fn presign(link: Presign<'_>, key: &SecretKey, now: Timestamp) -> String {
    let date_time = date::format(now.as_seconds());
    let day = &date_time[..8];
    let credential = format!("{}/{day}/{}/{SERVICE}/{TERMINATOR}", link.access_key, link.region);
    let query = format!(
        "{}&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={date_time}\
         &X-Amz-Expires={}&X-Amz-SignedHeaders=host",
        link.query,
        utf8_percent_encode(&credential, NON_ALPHANUMERIC),
        link.expires_s,
    );
    let mut headers = HeaderMap::new();
    headers.insert(http::header::HOST, link.host.clone());
    let http = HttpRequest { method: "GET", path: link.path, query: &query, headers: &headers };
    let canonical = canonical_request(&http, None, "host", BodyHash::of(&[]).as_str());
    let signature = sign(key, day, link.region, &date_time, &canonical);
    format!("{}?{query}&{}={}", link.path, form::SIGNATURE_PARAMETER, hex::encode(signature))
}
