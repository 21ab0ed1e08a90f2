//! `GET /hearth/v1/functions/NAME/code`: the zip, as it was uploaded. It is
//! where `GetFunction`'s presigned `Code.Location` leads.

use crate::call::Call;
use crate::failure;
use crate::fair_share::Full;
use crate::reply::{Reply, ReplyBody};
use futures_util::TryStreamExt;
use hearth_lambda_api::ApiError;
use hearth_lambda_api::error::ThrottleReason;
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, Either, StreamBody};
use hyper::body::Frame;
use object_store::ObjectStoreExt;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let function = call.function()?;
    let found = call.found(&function).await?;
    let place = call.shared.payloads.streamed(call.account());
    let place = place.map_err(|Full| ApiError::throttled(ThrottleReason::Transfers))?;
    let object = object_store::path::Path::from(found.code.zip_object.as_str());
    let zip = call.shared.deps.objects.get(&object).await;
    let zip = zip.map_err(|error| failure::internal(call.request, "reading code", &error))?;
    let frames = zip.into_stream().map_ok(move |data| {
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
