//! One call on the serving side.
//!
//! ```text
//! path known? ─► peer allowed? ─► small enough? ─► room? ─► read ─► handler, a task ─► answer
//! ```
//!
//! Everything before `read` is judged by the headers alone. A stream of gathered questions
//! is one call, and what is read of it is answered where it was read (`gathered`).

use super::admission::{Admission, Admitted};
use super::body::{Holding, InTime};
use super::gathered::Serve;
use super::router::{How, MayCall, Router, Served};
use crate::codec::Packed;
use crate::hello::HELLO;
use crate::limits::STREAMS_MAX;
use crate::method::Method;
use crate::outcome::{LENGTH_HEADER, Outcome};
use crate::peer::Peer;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

/// Why a handler gave no answer.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) outcome: Outcome,
    pub(super) text: String,
}

/// Packed requests in, packed answers out.
pub(super) type Handler =
    Box<dyn Fn(Peer, Bytes) -> BoxFuture<'static, Result<Bytes, NoAnswer>> + Send + Sync>;

/// What the streams of one connection share.
#[derive(Clone)]
pub(super) struct Streams {
    /// How many more there may be.
    room: Arc<Semaphore>,
    /// They end soon after this is cancelled.
    stop: CancellationToken,
}

impl Streams {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { room: Arc::new(Semaphore::new(STREAMS_MAX)), stop }
    }
}

/// What all connections of a server share.
pub(super) struct Shared {
    methods: HashMap<&'static str, Served>,
    may_call: Option<Arc<MayCall>>,
    admission: Admission,
    /// How long a stream stays open on which nobody asks.
    pub(super) stream_idle: Duration,
    /// Counts the handlers that run.
    pub(super) handlers: TaskTracker,
}

impl Shared {
    pub(super) fn new(router: Router) -> Self {
        let Router { methods, limits, may_call } = router;
        let (admission, handlers) = (Admission::new(limits), TaskTracker::new());
        Self { methods, may_call, admission, stream_idle: limits.stream_idle, handlers }
    }

    /// Answers a call, or a stream until it ends.
    pub(super) async fn answer(
        self: Arc<Self>,
        peer: Peer,
        streams: Streams,
        request: http::Request<Incoming>,
    ) -> http::Response<Holding> {
        let (served, length, room) = match self.admit(&peer, &request) {
            Ok(admitted) => admitted,
            Err(status) => {
                return status.into_http().map(|body| Holding { body, _room: None });
            }
        };
        let mut grpc = Grpc::new(Packed)
            .max_decoding_message_size(length)
            .max_encoding_message_size(served.method.answer_max());
        let response = match &served.how {
            How::Call(handler) => {
                let room = room.clone();
                let path = served.method.path();
                let run = Run { path, handler, peer, room, handlers: &self.handlers };
                grpc.unary(run, request.map(InTime::new)).await
            }
            How::Gathered(handler) => {
                let Ok(room) = streams.room.try_acquire_owned() else {
                    let text = format!("the connection has {STREAMS_MAX} streams open");
                    let refused = Outcome::OverLimit.status(text).into_http();
                    return refused.map(|body| Holding { body, _room: None });
                };
                let (method, handler) = (served.method, handler.clone());
                let (shared, stop, room) = (self.clone(), streams.stop, Arc::new(room));
                grpc.streaming(Serve { shared, method, handler, peer, stop, room }, request).await
            }
        };
        response.map(|body| Holding { body, _room: room })
    }

    /// Whether a peer may call a method, as of now.
    pub(super) fn may_call(&self, peer: &Peer, method: &Method) -> Result<(), Status> {
        if self.may_call.as_ref().is_none_or(|may_call| may_call(peer, method)) {
            return Ok(());
        }
        Err(Outcome::NotAllowed.status(match &peer.node {
            Some(node) => format!("it is known here as {node}"),
            None => "it has shown no name".to_owned(),
        }))
    }

    /// Judges a call by its headers: what serves it, and how long its request is.
    fn admit(
        &self,
        peer: &Peer,
        request: &http::Request<Incoming>,
    ) -> Result<(&Served, usize, Option<Arc<Admitted>>), Status> {
        let path = request.uri().path().trim_start_matches('/');
        let Some(served) = self.methods.get(path) else {
            return Err(Outcome::NotServed.status(path));
        };
        let method = &served.method;
        if *method == HELLO {
            // Who is over its limit still says so itself.
            return Ok((served, method.request_max(), None));
        }
        self.may_call(peer, method)?;
        let max = method.request_max();
        // One that does not say so may be as long as any.
        let length = request.headers().get(LENGTH_HEADER);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(max);
        if length > max {
            return Err(Outcome::TooLarge.status(format!("{length} bytes of at most {max}")));
        }
        let room = self.admission.admit(method, length);
        let room = room.map_err(|text| Outcome::OverLimit.status(text))?;
        Ok((served, length, Some(Arc::new(room))))
    }
}

/// Has a request handled that has arrived.
struct Run<'a> {
    path: &'static str,
    handler: &'a Handler,
    peer: Peer,
    room: Option<Arc<Admitted>>,
    handlers: &'a TaskTracker,
}

impl UnaryService<Bytes> for Run<'_> {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let handled = (self.handler)(self.peer.clone(), request.into_inner());
        let room = self.room.take();
        // In a task of its own: whoever asked may go away, this goes on.
        let task = hearth_tasks::spawn_tracked(self.handlers, self.path, async move {
            let answer = handled.await;
            drop(room);
            answer
        });
        async move {
            match task.await {
                Ok(Ok(answer)) => Ok(Response::new(answer)),
                Ok(Err(no)) => Err(no.outcome.status(no.text)),
                Err(_) => Err(Outcome::Panicked.status("the handler panicked")),
            }
        }
        .boxed()
    }
}
