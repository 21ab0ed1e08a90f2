//! A signed request: read, checked against the clock, then verified, as much of
//! it as the head alone allows before the body.

use crate::scope::{Scope, TERMINATOR};
use crate::{
    ALGORITHM, BodyHash, CLOCK_SKEW_S_MAX, SERVICE, SecretKey, SigV4Error, canonical, date, form,
};
use hearth_types::Timestamp;
use hmac::Mac;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use subtle::ConstantTimeEq;

/// The parts of an HTTP request that a signature covers, as they came over the
/// wire: nothing decoded.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path, percent-encoded.
    pub path: &'a str,
    /// The query without its question mark, percent-encoded.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// A request whose signature has the right form and a current date, and is yet
/// to be verified.
#[derive(Debug)]
pub struct SignedRequest<'a> {
    http: HttpRequest<'a>,
    credential: Cow<'a, str>,
    date_time: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: [u8; 32],
    presigned: bool,
    declared_hash: Option<BodyHash>,
}

/// A request of which the head is as good as it can be without the body.
#[derive(Debug)]
#[must_use = "the body is not verified yet"]
pub struct VerifiedHead<'a, 'k> {
    signed: SignedRequest<'a>,
    key: &'k SecretKey,
}

/// Headers that clients add after signing a presigned URL.
const UNSIGNED_IN_PRESIGNED: [&str; 2] = ["x-amz-user-agent", "x-amz-checksum-mode"];

impl<'a> SignedRequest<'a> {
    /// Reads the signature's parts and checks all that needs neither key nor body.
    pub fn parse(http: HttpRequest<'a>, now: Timestamp) -> Result<Self, SigV4Error> {
        let form = match http.headers.get(http::header::AUTHORIZATION) {
            Some(value) => {
                let text = value.to_str().map_err(|_| {
                    SigV4Error::Incomplete("Authorization header is not plain text.".into())
                })?;
                form::from_header(text, http.headers)?
            }
            None if form::is_presigned(http.query) => form::from_query(http.query)?,
            None => return Err(SigV4Error::MissingToken),
        };
        let token_in_query = || {
            canonical::query_pairs(http.query)
                .any(|(name, _)| name.eq_ignore_ascii_case(b"x-amz-security-token"))
        };
        if http.headers.contains_key("x-amz-security-token") || token_in_query() {
            return Err(SigV4Error::UnknownToken);
        }
        check_clock(&form.date_time, form.expires_s, now.as_seconds())?;
        let presigned = form.expires_s.is_some();
        check_signed_headers(&form.signed_headers, http.headers, presigned)?;
        let mut signature = [0; 32];
        hex::decode_to_slice(form.signature.as_bytes(), &mut signature)
            .map_err(|_| SigV4Error::Mismatch)?;
        Scope::parse(&form.credential, &form.date_time)?;
        let declared_hash = declared_hash(http.headers)?;
        Ok(Self {
            http,
            credential: form.credential,
            date_time: form.date_time,
            signed_headers: form.signed_headers,
            signature,
            presigned,
            declared_hash,
        })
    }

    fn scope(&self) -> Scope<'_> {
        Scope::parse(&self.credential, &self.date_time).expect("checked by parse")
    }

    /// The access key id that signed.
    pub fn access_key(&self) -> &str {
        self.scope().access_key
    }

    /// The region that was signed for.
    pub fn region(&self) -> &str {
        self.scope().region
    }

    /// Verifies what needs no body: the signature, if the head declares the
    /// body's hash.
    pub fn verify_head<'k>(self, key: &'k SecretKey) -> Result<VerifiedHead<'a, 'k>, SigV4Error> {
        if let Some(hash) = &self.declared_hash {
            self.check_signature(key, hash)?;
        }
        Ok(VerifiedHead { signed: self, key })
    }

    fn check_signature(&self, key: &SecretKey, hash: &BodyHash) -> Result<(), SigV4Error> {
        let expected = self.expected_signature(key, hash.as_str());
        if bool::from(expected.ct_eq(&self.signature)) { Ok(()) } else { Err(SigV4Error::Mismatch) }
    }

    fn expected_signature(&self, key: &SecretKey, body_hash: &str) -> [u8; 32] {
        let omit = self.presigned.then_some(form::SIGNATURE_PARAMETER);
        let scope = self.scope();
        let canonical = canonical_request(&self.http, omit, &self.signed_headers, body_hash);
        sign(key, scope.date, scope.region, &self.date_time, &canonical)
    }
}

impl VerifiedHead<'_, '_> {
    /// Whether the signature is known to be right, so that only the body's hash
    /// is left to be compared.
    pub fn is_proven(&self) -> bool {
        self.signed.declared_hash.is_some()
    }

    /// Whether this is exactly what the holder of the key signed, with exactly
    /// the body of this hash.
    pub fn verify_body(self, hash: &BodyHash) -> Result<(), SigV4Error> {
        match &self.signed.declared_hash {
            // Hashes of public bytes: no secret is compared here.
            Some(declared) if declared == hash => Ok(()),
            Some(_) => Err(wrong_hash()),
            None => self.signed.check_signature(self.key, hash),
        }
    }
}

fn wrong_hash() -> SigV4Error {
    SigV4Error::Invalid(
        "The provided 'x-amz-content-sha256' header does not match what was computed.".into(),
    )
}

/// The hash that the head says the body has. What is no hash cannot be the
/// body's: `UNSIGNED-PAYLOAD` and the streaming forms are S3's alone.
fn declared_hash(headers: &HeaderMap) -> Result<Option<BodyHash>, SigV4Error> {
    let mut declared = headers.get_all("x-amz-content-sha256").iter();
    match (declared.next(), declared.next()) {
        (None, _) => Ok(None),
        (Some(hash), None) => BodyHash::declared(hash.as_bytes()).map(Some).ok_or_else(wrong_hash),
        (Some(_), Some(_)) => Err(wrong_hash()),
    }
}

/// The whole canonical request.
pub(crate) fn canonical_request(
    http: &HttpRequest<'_>,
    omit: Option<&str>,
    signed_headers: &str,
    body_hash: &str,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(http.method.as_bytes());
    out.push(b'\n');
    canonical::path(http.path, &mut out);
    out.push(b'\n');
    canonical::query(http.query, omit, &mut out);
    out.push(b'\n');
    for name in signed_headers.split(';') {
        canonical::header(name, http.headers, &mut out);
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(body_hash.as_bytes());
    out
}

/// The signature of a canonical request.
pub(crate) fn sign(
    key: &SecretKey,
    day: &str,
    region: &str,
    date_time: &str,
    canonical: &[u8],
) -> [u8; 32] {
    let mut mac = key.signer(day, region);
    for piece in
        [ALGORITHM, "\n", date_time, "\n", day, "/", region, "/", SERVICE, "/", TERMINATOR, "\n"]
    {
        mac.update(piece.as_bytes());
    }
    mac.update(hex::encode(Sha256::digest(canonical)).as_bytes());
    mac.finalize().into_bytes().into()
}

fn check_clock(date_time: &str, expires_s: Option<i64>, now_s: i64) -> Result<(), SigV4Error> {
    let signed_s = date::parse(date_time).ok_or_else(|| {
        SigV4Error::Incomplete(
            "Date must be in ISO-8601 'basic format'. Got a date in another form.".into(),
        )
    })?;
    let (skew, now) = (CLOCK_SKEW_S_MAX, || date::format(now_s));
    if signed_s > now_s + skew {
        return Err(SigV4Error::Invalid(format!(
            "Signature not yet current: {date_time} is still later than {} ({} + 5 min.)",
            date::format(now_s + skew),
            now(),
        )));
    }
    let life_s = expires_s.unwrap_or(skew);
    if signed_s < now_s - life_s {
        return Err(SigV4Error::Invalid(format!(
            "Signature expired: {date_time} is now earlier than {} ({} - {} min.)",
            date::format(now_s - life_s),
            now(),
            life_s / 60,
        )));
    }
    Ok(())
}

/// `SignedHeaders` must be sorted lower-case names, `host` among them, and so
/// must every `x-amz-` header that is present: one that is not signed could
/// have been added on the way.
fn check_signed_headers(
    signed: &str,
    headers: &HeaderMap,
    presigned: bool,
) -> Result<(), SigV4Error> {
    let names: Vec<&str> = signed.split(';').collect();
    let legal = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
    };
    if !names.iter().all(legal) || !names.windows(2).all(|w| w[0] < w[1]) {
        return Err(SigV4Error::Incomplete(
            "SignedHeaders must be lower-case header names, sorted, separated by semicolons."
                .into(),
        ));
    }
    if !names.contains(&"host") {
        return Err(SigV4Error::Invalid("'Host' must be a 'SignedHeader' in the request.".into()));
    }
    let unsigned = headers.keys().map(|k| k.as_str()).find(|name| {
        name.starts_with("x-amz-")
            && !names.contains(name)
            && !(presigned && UNSIGNED_IN_PRESIGNED.contains(name))
    });
    match unsigned {
        Some(name) => {
            Err(SigV4Error::Invalid(format!("'{name}' must be a 'SignedHeader' in the request.")))
        }
        None => Ok(()),
    }
}
