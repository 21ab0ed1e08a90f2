//! The Lambda Runtime API: the function's side of an invoke.
//!
//! ```text
//! GET  /2018-06-01/runtime/invocation/next            200 event
//! POST /2018-06-01/runtime/invocation/ID/response     202
//! POST /2018-06-01/runtime/invocation/ID/error        202
//! POST /2018-06-01/runtime/init/error                 202
//! GET  /2018-06-01/runtime/restore/next               200 once this is a clone
//! POST /2018-06-01/runtime/restore/error              202
//! GET  /hearth/environment                            200 the function's, as JSON
//! ```
//!
//! The runtimes whose bootstrap is ours may ask the same over a line (`line.rs`).
//!
//! Refusals: 400 wrong id or broken body, 403 wrong state, 404, 405, 413 too
//! large, 429 too many connections; nothing a client sends ends the agent.

mod body;
mod line;
mod replies;
mod route;
mod server;
mod state;

pub(crate) use line::{Line, serve_line};
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
use state::{Busy, Ended, HasRequestId, Refusal, RuntimeState};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::{oneshot, watch};

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
    /// The function's environment, as JSON, once it is known.
    environment: watch::Sender<Option<Bytes>>,
    /// Set once this is a clone.
    clone: watch::Sender<bool>,
    /// Set when the runtime starts.
    logs: OnceLock<Arc<LogPipe>>,
}

struct State {
    runtime: RuntimeState<oneshot::Sender<Event>, Event>,
    /// When what the runtime is to do now was asked of it: to get ready, or to
    /// take its event.
    asked: Instant,
}

/// An answer that is on its way from the runtime; broken off unless it is ended.
struct Sending<'a, T> {
    api: &'a RuntimeApi<T>,
    /// Whether that is what the function returned, or how it failed.
    failed: bool,
}

impl<T: Transport> Sending<'_, T> {
    /// It is here.
    fn end(self, body: ReadBody) {
        let kind = if self.failed { ResultKind::Error } else { ResultKind::Response };
        self.api.pass_on(FromAgent::Result, kind, body, true);
        self.api.lock().runtime.end_answer();
    }
}

impl<T> Drop for Sending<'_, T> {
    fn drop(&mut self) {
        self.api.lock().runtime.break_off_answer();
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
        let state = Mutex::new(State { runtime: RuntimeState::new(), asked: Instant::now() });
        let (environment, clone) = (watch::Sender::new(None), watch::Sender::new(false));
        Self { link, guest, state, environment, clone, logs: OnceLock::new() }
    }

    /// The runtime is running, and writes to `logs`.
    pub(crate) fn started(&self, logs: Arc<LogPipe>) {
        self.lock().asked = Instant::now();
        // Set once: a session starts one runtime.
        drop(self.logs.set(logs));
    }

    /// Gives a runtime that waits for its function the function's environment.
    pub(crate) fn configured(&self, environment: &[(String, String)]) {
        let names: BTreeMap<_, _> = environment.iter().map(|(name, value)| (name, value)).collect();
        // Maps of strings always encode.
        let json = serde_json::to_vec(&names).expect("strings are JSON");
        self.lock().asked = Instant::now();
        self.environment.send_replace(Some(json.into()));
    }

    /// Tells the runtime that this is a clone, and the worker when that is done.
    pub(crate) fn restored(&self, began: Instant) {
        let asked = {
            let mut state = self.lock();
            state.asked = began;
            state.runtime.restored()
        };
        self.clone.send_replace(true);
        if !asked {
            self.link.send_message(&FromAgent::Restored { took_us: micros_since(began) });
        }
    }

    /// Whether the runtime has an event that it has not answered.
    pub(crate) fn in_event(&self) -> bool {
        self.lock().runtime.in_event()
    }

    /// An event from the worker.
    pub(crate) fn event(&self, event: Event) -> Result<(), Busy> {
        let mut state = self.lock();
        state.asked = event.arrived;
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
            Ok(Route::Response(id)) => self.result(id, false, body).await,
            Ok(Route::Error(id)) => self.result(id, true, body).await,
            Ok(Route::InitError) => self.init_error(body).await,
            Ok(Route::RestoreNext) => self.restore_next().await,
            Ok(Route::RestoreError) => self.restore_error(body).await,
            Ok(Route::Environment) => self.environment().await,
            Err(status) => {
                body::discard(body).await;
                replies::no_such_route(status)
            }
        }
    }

    async fn next(&self) -> Reply {
        match self.next_event().await {
            Ok(event) => replies::event(event),
            Err(refusal) => replies::refused(&refusal),
        }
    }

    async fn next_event(&self) -> Result<Event, Refusal> {
        let (waiter, event) = oneshot::channel();
        {
            let mut state = self.lock();
            let polled = state.runtime.next(waiter)?;
            match polled.ended {
                Some(Ended::Init) => self.init_done(state.asked),
                Some(Ended::Restore) => self
                    .link
                    .send_message(&FromAgent::Restored { took_us: micros_since(state.asked) }),
                None => {}
            }
            if let Some((waiter, event)) = polled.deliver {
                Self::deliver(&mut state, waiter, event);
            }
        }
        let displaced = Refusal::WrongState { from: "Ready", to: "Ready" };
        event.await.map_err(|_by_a_newer_poll| displaced)
    }

    fn init_done(&self, began: Instant) {
        self.link.send_message(&FromAgent::InitDone {
            took_us: micros_since(began),
            memory_peak_bytes: self.guest.memory_peak_bytes(),
        });
    }

    async fn environment(&self) -> Reply {
        match self.function_environment().await {
            Ok(json) => replies::found(json),
            Err(refusal) => replies::refused(&refusal),
        }
    }

    /// Asked for by a runtime that has done all it can without its function.
    async fn function_environment(&self) -> Result<Bytes, Refusal> {
        let mut environment = self.environment.subscribe();
        if environment.borrow().is_some() {
            return Err(Refusal::WrongState { from: "Configured", to: "Prepared" });
        }
        let took_us = micros_since(self.lock().asked);
        self.link.send_message(&FromAgent::Prepared { took_us });
        let given = environment.wait_for(Option::is_some).await;
        // The sender is ours, so it outlives the wait.
        Ok(given.ok().and_then(|json| json.clone()).expect("the sender lives in self"))
    }

    async fn restore_next(&self) -> Reply {
        match self.until_clone().await {
            Ok(()) => replies::found(Bytes::from_static(b"{}")),
            Err(refusal) => replies::refused(&refusal),
        }
    }

    /// Asked by a runtime that may be captured.
    async fn until_clone(&self) -> Result<(), Refusal> {
        let mut clone = self.clone.subscribe();
        {
            let mut state = self.lock();
            state.runtime.restore_next()?;
            self.init_done(state.asked);
        }
        // The sender is ours, so it outlives the wait.
        drop(clone.wait_for(|is_clone| *is_clone).await);
        Ok(())
    }

    async fn restore_error(&self, body: Incoming) -> Reply {
        let failed = self.lock().runtime.restore_error();
        self.give_up(failed, FromAgent::RestoreFailed, body).await
    }

    async fn result(&self, id: &str, failed: bool, body: Incoming) -> Reply {
        let sending = match self.begin_answer(id, failed) {
            Ok(sending) => sending,
            Err(refusal) => {
                body::discard(body).await;
                return replies::refused(&refusal);
            }
        };
        let Ok(body) = body::read(body).await else { return replies::truncated() };
        let reply = match body {
            ReadBody::TooLarge { .. } => replies::too_large(),
            ReadBody::Whole { .. } => replies::accepted(),
        };
        sending.end(body);
        reply
    }

    fn begin_answer(&self, id: &str, failed: bool) -> Result<Sending<'_, T>, Refusal> {
        let to = if failed { "InvocationErrorResponse" } else { "InvocationResponse" };
        self.lock().runtime.begin_answer(id, to)?;
        Ok(Sending { api: self, failed })
    }

    async fn init_error(&self, body: Incoming) -> Reply {
        let failed = self.lock().runtime.init_error();
        self.give_up(failed, FromAgent::InitFailed, body).await
    }

    /// Passes on a failure after which there will be no event.
    async fn give_up(
        &self,
        failed: Result<(), Refusal>,
        message: fn(ResultHead) -> FromAgent,
        body: Incoming,
    ) -> Reply {
        if let Err(refusal) = failed {
            body::discard(body).await;
            return replies::refused(&refusal);
        }
        // The state has changed for good: a body that breaks off still is a
        // failure.
        let body = body::read(body).await.unwrap_or(ReadBody::Whole {
            frames: Vec::new(),
            bytes: 0,
            failed: None,
        });
        let reply = match body {
            ReadBody::TooLarge { .. } => replies::too_large(),
            ReadBody::Whole { .. } => replies::accepted(),
        };
        self.pass_on(message, ResultKind::Error, body, false);
        reply
    }

    /// Sends an answer: the log so far, head, body, end, in as few writes as
    /// their size allows.
    fn pass_on(
        &self,
        message: fn(ResultHead) -> FromAgent,
        kind: ResultKind,
        body: ReadBody,
        ends_invoke: bool,
    ) {
        let mut out = Vec::with_capacity(512);
        if let Some(logs) = self.logs.get() {
            // What can be read is sent; a broken pipe has no more to give.
            drop(logs.drain(&mut out));
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
        push_message(&message(ResultHead { kind, body_bytes }), &mut out);
        if frames.len() <= ONE_WRITE_BYTES_MAX {
            out.extend_from_slice(&frames);
        } else {
            self.link.send(std::mem::take(&mut out));
            self.link.send(frames);
        }
        if ends_invoke {
            let end = FromAgent::ResultEnd {
                run_us: micros_since(self.lock().asked),
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
