//! AWS Signature Version 4, the server's side: decides whether a request was
//! signed by the holder of a secret, in header or presigned-query form.
//!
//! Pure: no I/O, no clock of its own. A caller goes through three steps, because
//! the key must be looked up after the first, and after the second the body read:
//!
//! ```text
//! SignedRequest::parse(http, now)   form, scope, clock     → access key id
//!          │ look the key up
//! SignedRequest::verify_head(key)   the signature, if the head declares the body's
//!          │ read the body          hash (x-amz-content-sha256)
//! VerifiedHead::verify_body(hash)   that the hash is the declared one; where none
//!                                   is, the signature over this one
//! ```
//!
//! A signature is compared in constant time.
//!
//! Specification: "AWS Signature Version 4 for API requests", AWS General
//! Reference; path rules are those of every service but S3 (normalised, and
//! encoded a second time).
#![forbid(unsafe_code)]

mod body_hash;
mod canonical;
mod date;
mod error;
mod form;
mod key;
mod presign;
mod request;
mod scope;

pub use body_hash::BodyHash;
pub use error::SigV4Error;
pub use key::SecretKey;
pub use presign::{Presign, presign};
pub use request::{HttpRequest, SignedRequest, VerifiedHead};

/// The algorithm's name, as `Authorization` and `X-Amz-Algorithm` carry it.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service that credentials must be scoped to.
pub const SERVICE: &str = "lambda";
/// How far a signer's clock may be off, either way.
pub const CLOCK_SKEW_S_MAX: i64 = 5 * 60;
/// Longest life of a presigned URL: seven days.
pub const PRESIGN_EXPIRES_S_MAX: i64 = 7 * 24 * 3600;
