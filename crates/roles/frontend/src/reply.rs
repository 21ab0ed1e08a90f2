//! HTTP responses.

use crate::pieces::Pieces;
use bytes::Bytes;
use hearth_lambda_api::ApiError;
use hearth_types::RequestId;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Either;
use http_body_util::combinators::UnsyncBoxBody;

/// A body: whole, or streamed from the object store.
pub(crate) type ReplyBody = Either<Pieces, UnsyncBoxBody<Bytes, hearth_chunk_store::ReadError>>;
/// A response.
pub(crate) type Reply = Response<ReplyBody>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON response.
pub(crate) fn json(status: u16, body: Bytes) -> Reply {
    let mut reply = Response::new(Either::Left(Pieces::of(body)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Either::Left(Pieces::default()));
    *reply.status_mut() = status;
    reply
}

/// An error response.
pub(crate) fn error(error: &ApiError) -> Reply {
    let mut reply = json(error.code.status().as_u16(), error.body());
    reply.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.code.as_str()));
    if let Some(seconds) = error.retry_after_s() {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

/// Tells the client that this is the connection's last response.
pub(crate) fn close(reply: &mut Reply) {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Puts the request's id on the response.
pub(crate) fn stamp(reply: &mut Reply, request: RequestId) {
    if let Ok(id) = HeaderValue::from_str(&request.to_string()) {
        reply.headers_mut().insert(REQUEST_ID, id);
    }
}
