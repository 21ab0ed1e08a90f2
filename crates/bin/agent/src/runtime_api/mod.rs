//! The Lambda Runtime API: the function's side of an invoke.
//!
//! ```text
//! GET  /2018-06-01/runtime/invocation/next            200 event
//! POST /2018-06-01/runtime/invocation/ID/response     202
//! POST /2018-06-01/runtime/invocation/ID/error        202
//! POST /2018-06-01/runtime/init/error                 202
//! ```
//!
//! Refusals: 400 wrong id or broken body, 403 wrong state, 404, 405, 413 too
//! large, 429 too many connections; nothing a client sends ends the agent.

mod body;
mod replies;
mod route;
mod server;
mod state;

pub(crate) use server::serve;

use crate::guest::Guest;
use crate::link::{HostLink, push_message};
use crate::logs::LogPipe;
use crate::transport::Transport;
use body::ReadBody;
use bytes::Bytes;
use hearth_agent_proto::{FromAgent, InvokeHead, ResultHead, ResultKind, encode_bulk};
use hyper::Request;
use hyper::body::Incoming;
use replies::Reply;
use route::Route;
use state::{Busy, HasRequestId, RuntimeState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// An answer up to this size goes out in one write, at the price of a copy.
const ONE_WRITE_BYTES_MAX: usize = 32 * 1024;

/// An event, whole.
#[derive(Debug)]
pub(crate) struct Event {
    /// What the runtime's headers say.
    pub(crate) head: InvokeHead,
    /// The event itself.
    pub(crate) payload: Bytes,
    /// When its head came.
    pub(crate) arrived: Instant,
    /// When the function's time is up, by this guest's clock.
    pub(crate) deadline_unix_ms: u64,
}

impl HasRequestId for Event {
    fn request_id(&self) -> &str {
        &self.head.request_id
    }
}

/// The API of one runtime.
pub(crate) struct RuntimeApi<T> {
    link: Arc<HostLink<T>>,
    guest: Arc<dyn Guest>,
    state: Mutex<State>,
    /// Set when the runtime starts.
    run: OnceLock<Run>,
}

struct State {
    runtime: RuntimeState<oneshot::Sender<Event>, Event>,
    /// When the current event came.
    arrived: Instant,
}

struct Run {
    started: Instant,
    logs: Arc<LogPipe>,
}

/// The answer that a connection is sending; broken off unless it is ended.
struct Sending<'a, T>(&'a RuntimeApi<T>);

impl<T> Drop for Sending<'_, T> {
    fn drop(&mut self) {
        self.0.lock().runtime.break_off_answer();
    }
}

impl<T> RuntimeApi<T> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> RuntimeApi<T> {
    /// An API that answers over `link`.
    pub(crate) fn new(link: Arc<HostLink<T>>, guest: Arc<dyn Guest>) -> Self {
        let state = Mutex::new(State { runtime: RuntimeState::new(), arrived: Instant::now() });
        Self { link, guest, state, run: OnceLock::new() }
    }

    /// The runtime is running, and writes to `logs`.
    pub(crate) fn started(&self, started: Instant, logs: Arc<LogPipe>) {
        // Set once: a session configures once.
        drop(self.run.set(Run { started, logs }));
    }

    /// Whether the runtime has an event that it has not answered.
    pub(crate) fn in_event(&self) -> bool {
        self.lock().runtime.in_event()
    }

    /// An event from the worker.
    pub(crate) fn event(&self, event: Event) -> Result<(), Busy> {
        let mut state = self.lock();
        state.arrived = event.arrived;
        if let Some((waiter, event)) = state.runtime.event(event)? {
            Self::deliver(&mut state, waiter, event);
        }
        Ok(())
    }

    fn deliver(state: &mut State, waiter: oneshot::Sender<Event>, event: Event) {
        if let Err(event) = waiter.send(event) {
            state.runtime.undelivered(event);
        }
    }

    /// Serves one request.
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        match Route::of(&head.method, head.uri.path()) {
            Ok(Route::Next) => self.next().await,
            Ok(Route::Response(id)) => self.result(id, ResultKind::Response, body).await,
            Ok(Route::Error(id)) => self.result(id, ResultKind::Error, body).await,
            Ok(Route::InitError) => self.init_error(body).await,
            Err(status) => {
                body::discard(body).await;
                replies::no_such_route(status)
            }
        }
    }

    async fn next(&self) -> Reply {
        let (waiter, event) = oneshot::channel();
        {
            let mut state = self.lock();
            let polled = match state.runtime.next(waiter) {
                Ok(polled) => polled,
                Err(refusal) => return replies::refused(&refusal),
            };
            if polled.first {
                self.link.send_message(&FromAgent::InitDone {
                    took_us: self.run.get().map_or(0, |run| micros_since(run.started)),
                    memory_peak_bytes: self.guest.memory_peak_bytes(),
                });
            }
            if let Some((waiter, event)) = polled.deliver {
                Self::deliver(&mut state, waiter, event);
            }
        }
        match event.await {
            Ok(event) => replies::event(event),
            // Displaced by a newer poll.
            Err(_) => replies::refused(&state::Refusal::WrongState { from: "Ready", to: "Ready" }),
        }
    }

    async fn result(&self, id: &str, kind: ResultKind, body: Incoming) -> Reply {
        let to = match kind {
            ResultKind::Error => "InvocationErrorResponse",
            _ => "InvocationResponse",
        };
        let begun = self.lock().runtime.begin_answer(id, to);
        if let Err(refusal) = begun {
            body::discard(body).await;
            return replies::refused(&refusal);
        }
        let _sending = Sending(self);
        let Ok(body) = body::read(body).await else { return replies::truncated() };
        let reply = match body {
            ReadBody::TooLarge { .. } => replies::too_large(),
            ReadBody::Whole { .. } => replies::accepted(),
        };
        self.pass_on(kind, body, true);
        self.lock().runtime.end_answer();
        reply
    }

    async fn init_error(&self, body: Incoming) -> Reply {
        let failed = self.lock().runtime.init_error();
        if let Err(refusal) = failed {
            body::discard(body).await;
            return replies::refused(&refusal);
        }
        // The state has changed for good: a body that breaks off still is a
        // failed initialisation.
        let body = body::read(body).await.unwrap_or(ReadBody::Whole {
            frames: Vec::new(),
            bytes: 0,
            failed: None,
        });
        let reply = match body {
            ReadBody::TooLarge { .. } => replies::too_large(),
            ReadBody::Whole { .. } => replies::accepted(),
        };
        self.pass_on(ResultKind::Error, body, false);
        reply
    }

    /// Sends an answer: the log so far, head, body, end, in as few writes as
    /// their size allows.
    fn pass_on(&self, kind: ResultKind, body: ReadBody, ends_invoke: bool) {
        let mut out = Vec::with_capacity(512);
        if let Some(run) = self.run.get() {
            // What can be read is sent; a broken pipe has no more to give.
            drop(run.logs.drain(&mut out));
        }
        let (kind, body_bytes, frames) = match body {
            ReadBody::Whole { failed: Some(json), .. } => {
                let mut frames = Vec::new();
                encode_bulk(&json, &mut frames);
                (ResultKind::Error, json.len() as u32, frames)
            }
            ReadBody::Whole { frames, bytes, failed: None } => (kind, bytes, frames),
            ReadBody::TooLarge { bytes } => (ResultKind::TooLarge { bytes }, 0, Vec::new()),
        };
        let head = ResultHead { kind, body_bytes };
        let head = if ends_invoke { FromAgent::Result(head) } else { FromAgent::InitFailed(head) };
        push_message(&head, &mut out);
        if frames.len() <= ONE_WRITE_BYTES_MAX {
            out.extend_from_slice(&frames);
        } else {
            self.link.send(std::mem::take(&mut out));
            self.link.send(frames);
        }
        if ends_invoke {
            let end = FromAgent::ResultEnd {
                run_us: micros_since(self.lock().arrived),
                memory_peak_bytes: self.guest.memory_peak_bytes(),
            };
            push_message(&end, &mut out);
        }
        self.link.send(out);
    }
}

fn micros_since(instant: Instant) -> u64 {
    instant.elapsed().as_micros() as u64
}
