//! Reading a JSON body: its size, its form, and the zip inside it.

use crate::{ApiError, ErrorCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hearth_types::{CODE_ZIP_BYTES_MAX, RevisionId};
use serde::Deserialize;
use std::borrow::Cow;

/// Largest body of a call that carries code: 50 MiB in base64 and 256 KiB more,
/// to the byte what AWS allows.
pub const REQUEST_BYTES_MAX: usize = 70_167_211;
/// Largest body of any other control call.
pub const SMALL_REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// The body is over its bound.
pub fn too_large(max: usize, operation: &str) -> ApiError {
    ApiError::new(
        ErrorCode::RequestEntityTooLarge,
        format!("Request must be smaller than {max} bytes for the {operation} operation"),
    )
}

/// A zip archive in base64, borrowed from the body unless it was escaped.
#[derive(Deserialize)]
pub(super) struct ZipFile<'a>(#[serde(borrow)] Cow<'a, str>);

impl ZipFile<'_> {
    /// The archive.
    pub(super) fn decode(&self) -> Result<Bytes, ApiError> {
        let zip = STANDARD
            .decode(self.0.as_bytes())
            .map_err(|_| ApiError::new(ErrorCode::Serialization, "ZipFile is not valid base64"))?;
        if zip.len() > CODE_ZIP_BYTES_MAX {
            return Err(ApiError::new(
                ErrorCode::RequestEntityTooLarge,
                format!("Zipped size must be smaller than {CODE_ZIP_BYTES_MAX} bytes"),
            ));
        }
        if zip.is_empty() {
            return Err(ApiError::invalid("Uploaded file must be a non-empty zip"));
        }
        Ok(zip.into())
    }
}

/// Reads a JSON object. An empty body is an empty object, as SDKs send none
/// where no member is set. Unknown members are ignored.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() {
            ErrorCode::Serialization
        } else {
            ErrorCode::InvalidRequestContent
        };
        ApiError::new(code, format!("Could not parse request body into json: {error}"))
    })
}

/// A `RevisionId` condition. Text that is no id of ours cannot be the current one.
pub(super) fn revision(text: Option<String>) -> Result<Option<RevisionId>, ApiError> {
    text.filter(|t| !t.is_empty())
        .map(|t| {
            t.parse().map_err(|_| {
                ApiError::new(
                    ErrorCode::PreconditionFailed,
                    "The Revision Id provided does not match the latest Revision Id. Call the \
                     GetFunction/GetAlias API to retrieve the latest Revision Id",
                )
            })
        })
        .transpose()
}
