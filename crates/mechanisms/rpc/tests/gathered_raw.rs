//! Streams of gathered questions with a peer that is not of ours: what no client or server of
//! ours says, and what the other side makes of it.

mod support;

use bytes::Bytes;
use hearth_rpc::{
    CallError, Channel, Gather, GatheredError, Lost, Method, NotSent, Router, Security,
};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use support::{PATIENCE, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const ADD: Method = Method::new("test.Raw/Add").request_bytes_max(1000).answer_bytes_max(1000);

/// What is said, piece by piece; first a question is waited for, where one is to come.
struct Says {
    question: Option<Incoming>,
    is_asked: bool,
    pieces: VecDeque<Piece>,
}

#[derive(Clone)]
enum Piece {
    Data(Vec<u8>),
    Trailers(HeaderMap),
    Break,
    Hang,
}

use Piece::{Break, Data, Hang, Trailers};

impl Body for Says {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let me = &mut *self;
        if let (Some(question), false) = (&mut me.question, me.is_asked) {
            ready!(Pin::new(question).poll_frame(context));
            me.is_asked = true;
        }
        Poll::Ready(match me.pieces.pop_front() {
            Some(Data(bytes)) => Some(Ok(Frame::data(bytes.into()))),
            Some(Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Break) => Some(Err(io::ErrorKind::Other.into())),
            Some(Hang) => {
                me.pieces.push_front(Hang);
                return Poll::Pending;
            }
            None => None,
        })
    }
}

fn fine() -> Piece {
    Trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]))
}

fn message(packed: &[u8]) -> Piece {
    Data([&[0, 0, 0, 0, u8::try_from(packed.len()).unwrap()], packed].concat())
}

fn long(packed: &[u8]) -> Piece {
    let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
    Data([&[0], &length[..], packed].concat())
}

/// A server that says this on each stream, once it was asked.
async fn peer_that_says(pieces: Vec<Piece>) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let pieces = pieces.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let says = if request.uri().path() == "/hearth.Rpc/Hello" {
                    let hello = message(b"\x81\xa8protocol\x01");
                    Says { question: None, is_asked: false, pieces: [hello, fine()].into() }
                } else {
                    let question = Some(request.into_body());
                    Says { question, is_asked: false, pieces: pieces.clone().into() }
                };
                let response = Response::builder().header("content-type", "application/grpc");
                async move { Ok::<_, Infallible>(response.body(says).unwrap()) }
            });
            let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http2.serve_connection(TokioIo::new(tcp), service));
        }
    });
    Channel::new(&address, None, Security::PlaintextOnLoopback)
}

async fn asked(pieces: Vec<Piece>) -> Result<u64, GatheredError> {
    let gather = Gather::new(peer_that_says(pieces).await, ADD, PATIENCE);
    timeout(PATIENCE, gather.ask(1_u64)).await.expect("it is told in time")
}

async fn failed(pieces: Vec<Piece>) -> Arc<CallError> {
    match asked(pieces).await {
        Err(GatheredError::Call(error)) => error,
        answer => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn what_makes_no_sense_loses_what_was_asked() {
    for pieces in [
        // No such flag, more bytes than may be, half of a message, none, and worse.
        vec![Data(vec![2, 0, 0, 0, 0]), Hang],
        vec![Data(vec![0, 0, 1, 0, 0]), Hang],
        vec![Data(vec![0, 0, 0, 0, 9, 1, 2]), fine()],
        vec![Data(vec![0, 0, 0, 0, 9, 1, 2])],
        vec![Break],
        // An end, but the peer has not said that it stops, or not that it is one.
        vec![fine()],
        vec![],
        vec![message(b""), Data(vec![])],
    ] {
        let error = failed(pieces).await;
        assert!(matches!(*error, CallError::Lost { source: Lost::Broken(_), .. }), "{error:?}");
    }
    // The second would be heard again and again while an answer is waited for.
    for garbled in [vec![message(b"\xc1"), Hang], vec![message(b""), message(b""), Hang]] {
        let error = failed(garbled).await;
        assert!(matches!(*error, CallError::Lost { source: Lost::Garbled(_), .. }), "{error:?}");
    }
    let uneven = asked(vec![message(b"\x92\x05\x06"), Hang]).await;
    let is_uneven = matches!(uneven, Err(GatheredError::Uneven { answers: 2, questions: 1 }));
    assert!(is_uneven, "{uneven:?}");
}

#[tokio::test]
async fn who_ends_a_stream_as_it_stops_did_nothing_about_what_it_has_not_answered() {
    let error = failed(vec![message(b""), fine()]).await;
    let not_sent = matches!(*error, CallError::NotSent { source: NotSent::ConnectionEnded(_), .. });
    assert!(not_sent, "{error:?}");
}

#[tokio::test]
async fn who_stops_answers_first() {
    // It stops, answers, and says nothing more: there are streams enough.
    let gather = Gather::<u64, u64>::new(
        peer_that_says(vec![message(b""), message(b"\x91\x05"), Hang]).await,
        ADD,
        PATIENCE,
    );
    for _ in 0..3 {
        assert_eq!(timeout(PATIENCE, gather.ask(4)).await.unwrap().unwrap(), 5);
    }
}

#[tokio::test]
async fn an_answer_too_many_is_the_end_of_its_stream_only() {
    let pieces = vec![message(b"\x91\x05"), message(b"\x91\x06"), Hang];
    let gather = Gather::<u64, u64>::new(peer_that_says(pieces).await, ADD, PATIENCE);
    for _ in 0..3 {
        let answered = async {
            // The second may be taken for that to what was asked next.
            while !matches!(gather.ask(4).await, Ok(5)) {}
        };
        timeout(PATIENCE, answered).await.unwrap();
    }
}

/// Says this to a server on a stream; the stream.
async fn say(server: &Server, pieces: Vec<Piece>) -> Incoming {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let io = TokioIo::new(tcp);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{}/{}", server.address, ADD.path()));
    let says = Says { question: None, is_asked: false, pieces: pieces.into() };
    sender.send_request(request.body(says).unwrap()).await.unwrap().into_body()
}

/// What a server says at the end of a stream: gRPC's status, and what of ours.
async fn end(mut stream: Incoming) -> (String, Option<String>) {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut stream).poll_frame(context));
        let frame = timeout(PATIENCE, frame).await.expect("it is told in time").unwrap().unwrap();
        if let Ok(trailers) = frame.into_trailers() {
            let said = |name| trailers.get(name).map(|said| said.to_str().unwrap().to_owned());
            return (said("grpc-status").unwrap(), said("hearth-outcome"));
        }
    }
}

fn server() -> Server {
    let router = Router::new().gathered(ADD, |_, numbers: Vec<u64>| {
        numbers.into_iter().map(|number| number + 1).collect::<Vec<_>>()
    });
    Server::start(router, Security::PlaintextOnLoopback)
}

#[tokio::test]
async fn a_server_says_why_it_reads_no_further() {
    for (piece, outcome) in [
        (Data(vec![2, 0, 0, 0, 0]), "garbled"),
        (Data(vec![0, 0, 1, 0, 0]), "too-large"),
        (message(b"\xc1"), "garbled"),
        // A list of 257 questions, of a byte each.
        (long(&[b"\xdc\x01\x01", &[1; 257][..]].concat()), "too-large"),
    ] {
        let server = server();
        let stream = say(&server, vec![message(b"\x91\x04"), piece, Hang]).await;
        assert_eq!(end(stream).await.1.as_deref(), Some(outcome));
    }
}

#[tokio::test]
async fn a_client_that_does_not_end_its_side_holds_no_server_up_that_stops() {
    let mut server = server();
    // It goes on for ever, in the midst of a message.
    let stream = say(&server, vec![message(b"\x91\x04"), Data(vec![0, 0]), Hang]).await;
    let began = Instant::now();
    server.stop.cancel();
    assert_eq!(end(stream).await, ("0".to_owned(), None));
    server.ended().await;
    let took = began.elapsed();
    assert!(took < hearth_rpc::SERVER_GRACE / 2, "{took:?}");
}
