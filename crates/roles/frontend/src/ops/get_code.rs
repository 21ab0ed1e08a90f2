//! `GET /hearth/v1/functions/NAME/code`: the zip, as it was uploaded. It is
//! where `GetFunction`'s presigned `Code.Location` leads.

use crate::call::Call;
use crate::failure;
use crate::fair_share::Full;
use crate::reply::{Reply, ReplyBody};
use futures_util::{StreamExt, TryStreamExt, stream};
use hearth_chunk_store::{InvalidHash, ManifestId, Owner};
use hearth_lambda_api::ApiError;
use hearth_lambda_api::error::ThrottleReason;
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, Either, StreamBody};
use hyper::body::Frame;
use std::error::Error;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let found = call.found(&function).await?;
    let place = call.shared.payloads.streamed(call.account());
    let place = place.map_err(|Full| ApiError::throttled(ThrottleReason::Transfers))?;
    let unread =
        |error: &(dyn Error + 'static)| failure::internal(call.request, "reading code", error);
    let id: ManifestId =
        found.code.zip_file.parse().map_err(|error: InvalidHash| unread(&error))?;
    let owner = Owner::Unknown(call.account().clone());
    let zip = call.shared.deps.code.open(&owner, &id).await.map_err(|error| unread(&error))?;
    // Damage at the beginning, where most of it is, is told as an error: there is no
    // status line after this any more.
    let mut pieces = Box::pin(zip.stream());
    let first = pieces.next().await.transpose().map_err(|error| unread(&error))?;
    let pieces = stream::iter(first.map(Ok)).chain(pieces);
    let frames = pieces.map_ok(move |data| {
        let _until_the_stream_ends = &place;
        Frame::data(data)
    });
    let body: ReplyBody = Either::Right(StreamBody::new(frames).boxed_unsync());
    let mut reply = Response::new(body);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.code.zip_bytes));
    Ok(reply)
}
