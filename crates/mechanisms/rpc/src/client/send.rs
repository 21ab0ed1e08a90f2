//! One call on one connection, or one stream: what went out, what came back, and whether it
//! can be said that nothing went out.

use crate::codec::Packed;
use crate::method::Method;
use crate::outcome::LENGTH_HEADER;
use crate::peer::ANY_NODE;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::poll_fn;
use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use std::error::Error as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};
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
    let length = MetadataValue::from(packed.len() as u64);
    let mut request = Request::new(packed);
    request.metadata_mut().insert(LENGTH_HEADER, length);
    let answered = grpc(sender, method).unary(request, method.uri_path(), Packed).await;
    Ok(answered?.into_inner())
}

/// Opens a stream of packed requests, at most so many unsent, and of packed answers. Returns
/// once the peer has taken it on; no request has gone out then. It keeps `room`, even if it is
/// given up while the peer takes nothing.
pub(super) async fn open(
    sender: SendRequest<Body>,
    method: &Method,
    unsent_max: usize,
    room: Arc<OwnedSemaphorePermit>,
) -> Result<(mpsc::Sender<Bytes>, Streaming<Bytes>), Failure> {
    let (requests, mut unsent) = mpsc::channel(unsent_max);
    let unsent = Request::new(poll_fn(move |context| {
        let _until_it_is_dropped = &room;
        unsent.poll_recv(context)
    }));
    let opened = grpc(sender, method).streaming(unsent, method.uri_path(), Packed).await;
    Ok((requests, opened?.into_inner()))
}

fn grpc(sender: SendRequest<Body>, method: &Method) -> Grpc<Once> {
    let origin = Uri::builder().scheme("http").authority(ANY_NODE).path_and_query("/").build();
    let origin = origin.expect("it is made of constants");
    Grpc::with_origin(Once(sender), origin)
        .max_encoding_message_size(method.request_max())
        .max_decoding_message_size(method.answer_max())
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        // Whether it is of our own making and says that nothing went out.
        let failed = status.source().and_then(|source| source.downcast_ref::<SendError>());
        match failed {
            Some(SendError::Never(_)) => Self::Never(status),
            _ => Self::Status(status),
        }
    }
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
