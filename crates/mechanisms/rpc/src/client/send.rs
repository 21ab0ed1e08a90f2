//! One call on one connection: what went out, what came back, and whether it can be said
//! that nothing went out.

use crate::codec::Packed;
use crate::method::Method;
use crate::outcome::LENGTH_HEADER;
use crate::peer::ANY_NODE;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use std::error::Error as _;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use tower_service::Service;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request certainly did not go out.
    Never(Status),
    /// It may have.
    Status(Status),
}

/// Sends a packed request, and waits for the packed answer.
pub(super) async fn send(
    sender: SendRequest<Body>,
    method: &Method,
    packed: Bytes,
) -> Result<Bytes, Failure> {
    let origin = Uri::builder().scheme("http").authority(ANY_NODE).path_and_query("/").build();
    let origin = origin.expect("it is made of constants");
    let mut grpc = Grpc::with_origin(Once(sender), origin)
        .max_encoding_message_size(method.request_max())
        .max_decoding_message_size(method.answer_max());
    let length = MetadataValue::from(packed.len() as u64);
    let mut request = Request::new(packed);
    request.metadata_mut().insert(LENGTH_HEADER, length);
    match grpc.unary(request, method.uri_path(), Packed).await {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) if is_never(&status) => Err(Failure::Never(status)),
        Err(status) => Err(Failure::Status(status)),
    }
}

/// Whether a status of our own making says that nothing went out.
fn is_never(status: &Status) -> bool {
    let failed = status.source().and_then(|source| source.downcast_ref::<SendError>());
    matches!(failed, Some(SendError::Never(_)))
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the request was not sent")]
    Never(#[source] hyper::Error),
    #[error("the connection broke")]
    Midway(#[source] hyper::Error),
}

/// A connection as tonic wants it, for one call.
struct Once(SendRequest<Body>);

impl Service<http::Request<Body>> for Once {
    type Response = http::Response<Incoming>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Self::Response, SendError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        // Whether it is, sending finds out, and says whether anything was sent.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let response = self.0.try_send_request(request);
        async move {
            response.await.map_err(|mut failed| match failed.take_message() {
                // The request came back whole.
                Some(_) => SendError::Never(failed.into_error()),
                None => SendError::Midway(failed.into_error()),
            })
        }
        .boxed()
    }
}
