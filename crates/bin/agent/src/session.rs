//! One sandbox's life, as the worker directs it.
//!
//! Owns the tasks: reading the worker's frames, flushing ours, serving the
//! Runtime API, pumping the log, watching the runtime. If one of the first
//! three ends the session ends, and with it the guest.

use crate::error::SetupError;
use crate::guest::Guest;
use crate::link::HostLink;
use crate::logs::LogPipe;
use crate::process;
use crate::runtime_api::{self, Event, Line, RuntimeApi};
use crate::transport::Transport;
use crate::watched;
use bytes::{Bytes, BytesMut};
use hearth_agent_proto::{
    Configure, Decoder, FailureKind, Frame, FromAgent, Identity, InvokeHead, PROTOCOL_VERSION,
    Prepare, ProtocolError, ToAgent,
};
use hearth_types::INVOKE_PAYLOAD_BYTES_MAX;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{Interest, unix::AsyncFd};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// Longest reason given for a failure; it must fit a frame.
const FAILURE_DETAIL_BYTES_MAX: usize = 1024;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// The worker's stream failed, or the kernel refused something basic.
    #[error("input or output failed")]
    Io(#[from] io::Error),
    /// The worker does not speak the protocol.
    #[error("the worker broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// The worker does not keep to its order.
    #[error("the worker sent {0} out of turn")]
    OutOfTurn(&'static str),
    /// A task ended by a panic; only where panics do not abort.
    #[error("a task of the session died")]
    Task(#[from] tokio::task::JoinError),
}

/// An event whose payload is still coming.
struct Arriving {
    head: InvokeHead,
    arrived: Instant,
    payload: BytesMut,
}

/// How far the worker has brought the guest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Booted,
    /// It is one of its runtime, which may run already.
    Prepared {
        started: bool,
    },
    Configured,
}

struct Session<T> {
    link: Arc<HostLink<T>>,
    guest: Arc<dyn Guest>,
    api: Arc<RuntimeApi<T>>,
    stage: Stage,
    arriving: Option<Arriving>,
}

/// Runs until the worker's stream ends. `guest` is what boot came to, a
/// failure included: only here is there somebody to tell.
pub(crate) async fn run<T: Transport>(
    transport: T,
    listener: TcpListener,
    guest: Result<Arc<dyn Guest>, SetupError>,
    booted_us: u64,
) -> Result<(), SessionError> {
    let link = Arc::new(HostLink::new(transport));
    let mut tasks = JoinSet::new();
    let flusher = link.clone();
    tasks.spawn(async move { Ok(flusher.flush().await?) });
    match guest {
        Ok(guest) => {
            link.send_message(&FromAgent::Hello { protocol: PROTOCOL_VERSION, booted_us });
            let api = Arc::new(RuntimeApi::new(link.clone(), guest.clone()));
            let served = api.clone();
            tasks.spawn(async move {
                runtime_api::serve(served, listener).await;
                Ok(())
            });
            let session = Session { link, guest, api, stage: Stage::Booted, arriving: None };
            tasks.spawn(session.obey());
        }
        Err(error) => fail(&link, &error),
    }
    tasks.join_next().await.unwrap_or(Ok(Ok(())))?
}

/// Tells the worker that this sandbox is of no use.
fn fail<T: Transport>(link: &HostLink<T>, error: &SetupError) {
    let kind = match error {
        SetupError::NoEntrypoint(_) => FailureKind::NoEntrypoint,
        SetupError::Step { .. } => FailureKind::Setup,
    };
    let mut detail = error.detail();
    detail.truncate(detail.floor_char_boundary(FAILURE_DETAIL_BYTES_MAX));
    link.send_message(&FromAgent::Failed { kind, detail });
}

impl<T: Transport> Session<T> {
    /// Does what the worker says, frame by frame.
    async fn obey(mut self) -> Result<(), SessionError> {
        let link = self.link.clone();
        let mut decoder = Decoder::new();
        loop {
            while let Some(frame) = decoder.next_frame::<ToAgent>()? {
                match frame {
                    Frame::Message(message) => self.message(message)?,
                    Frame::Bulk(bytes) => self.bulk(bytes)?,
                }
            }
            if link.transport().read(decoder.buffer()).await? == 0 {
                return Ok(());
            }
        }
    }

    fn message(&mut self, message: ToAgent) -> Result<(), SessionError> {
        match message {
            ToAgent::Prepare(prepare) => {
                if self.stage != Stage::Booted {
                    return Err(SessionError::OutOfTurn("a second runtime"));
                }
                self.stage = Stage::Prepared { started: prepare.start.is_some() };
                let result = self.prepare(&prepare);
                self.or_fail(result);
            }
            ToAgent::Configure(configure) => {
                let Stage::Prepared { started } = self.stage else {
                    return Err(SessionError::OutOfTurn("a configuration"));
                };
                self.stage = Stage::Configured;
                let result = self.configure(&configure, started);
                self.or_fail(result);
            }
            ToAgent::Restore(identity) => {
                if self.stage != Stage::Configured {
                    return Err(SessionError::OutOfTurn("a restore before a capture"));
                }
                let result = self.restore(&identity);
                self.or_fail(result);
            }
            ToAgent::Invoke(_) if self.arriving.is_some() => {
                return Err(SessionError::OutOfTurn("an event within an event"));
            }
            ToAgent::Invoke(head) if head.payload_bytes as usize > INVOKE_PAYLOAD_BYTES_MAX => {
                return Err(SessionError::OutOfTurn("too long an event"));
            }
            ToAgent::Invoke(head) => {
                if let Err(error) = self.guest.correct_clock(head.clock_unix_ns) {
                    fail(&self.link, &error);
                }
                let arriving = Arriving { head, arrived: Instant::now(), payload: BytesMut::new() };
                if arriving.head.payload_bytes == 0 {
                    return self.event(arriving, Bytes::new());
                }
                self.arriving = Some(arriving);
            }
            ToAgent::Ping { nonce } => self.link.send_message(&FromAgent::Pong { nonce }),
        }
        Ok(())
    }

    fn bulk(&mut self, bytes: Bytes) -> Result<(), SessionError> {
        let Some(mut arriving) = self.arriving.take() else {
            return Err(SessionError::OutOfTurn("bulk bytes"));
        };
        let length = arriving.head.payload_bytes as usize;
        // Most events fit one frame, and need no copy.
        if arriving.payload.is_empty() && bytes.len() == length {
            return self.event(arriving, bytes);
        }
        if arriving.payload.len() + bytes.len() > length {
            return Err(SessionError::OutOfTurn("more payload than announced"));
        }
        arriving.payload.reserve(length - arriving.payload.len());
        arriving.payload.extend_from_slice(&bytes);
        if arriving.payload.len() == length {
            let payload = std::mem::take(&mut arriving.payload).freeze();
            return self.event(arriving, payload);
        }
        self.arriving = Some(arriving);
        Ok(())
    }

    fn event(&self, arriving: Arriving, payload: Bytes) -> Result<(), SessionError> {
        let Arriving { head, arrived, .. } = arriving;
        let left = Duration::from_millis(head.timeout_ms.into()).saturating_sub(arrived.elapsed());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let deadline_unix_ms = (now + left).as_millis() as u64;
        self.api
            .event(Event { head, payload, arrived, deadline_unix_ms })
            .map_err(|_busy| SessionError::OutOfTurn("an event while another runs"))
    }

    fn or_fail(&self, result: Result<(), SetupError>) {
        if let Err(error) = result {
            fail(&self.link, &error);
        }
    }

    /// Makes the guest one of its runtime, and starts that if it can do something
    /// before it has a function; it then says itself when it is prepared.
    fn prepare(&self, prepare: &Prepare) -> Result<(), SetupError> {
        let began = Instant::now();
        self.guest.prepare(prepare)?;
        match &prepare.start {
            Some(start) => self.start(&start.environment, start.line),
            None => {
                let took_us = began.elapsed().as_micros() as u64;
                self.link.send_message(&FromAgent::Prepared { took_us });
                Ok(())
            }
        }
    }

    /// Makes the guest its sandbox, and has the runtime initialise the function.
    fn configure(&self, configure: &Configure, started: bool) -> Result<(), SetupError> {
        let began = Instant::now();
        self.guest.configure(configure)?;
        let took_us = began.elapsed().as_micros() as u64;
        self.link.send_message(&FromAgent::Configured { took_us });
        if started {
            self.api.configured(&configure.environment);
            return Ok(());
        }
        self.start(&configure.environment, false)
    }

    /// Makes a clone a sandbox of its own, before its runtime knows of it.
    fn restore(&self, identity: &Identity) -> Result<(), SetupError> {
        let began = Instant::now();
        self.guest.restore(identity)?;
        self.api.restored(began);
        Ok(())
    }

    fn start(&self, environment: &[(String, String)], line: bool) -> Result<(), SetupError> {
        self.launch(environment, line).map_err(|error| match error {
            StartError::Guest(error) => error,
            StartError::Io(source) => SetupError::Step { step: "watch the runtime".into(), source },
        })
    }

    fn launch(&self, environment: &[(String, String)], line: bool) -> Result<(), StartError> {
        // Before the runtime starts, or its end could go unnoticed.
        let children = signal(SignalKind::child())?;
        let runtime = self.guest.start(environment, line)?;
        let logs = Arc::new(LogPipe::new(runtime.output)?);
        self.api.started(logs.clone());
        if let Some(line) = runtime.line {
            tokio::spawn(runtime_api::serve_line(self.api.clone(), Line::new(line)?));
        }
        let watch = Watch {
            link: self.link.clone(),
            guest: self.guest.clone(),
            api: self.api.clone(),
            logs,
            pid: runtime.pid,
        };
        if let Some(starvation) = self.guest.starvation()? {
            let starvation = watched::watch_urgent(starvation)?;
            tokio::spawn(end_starvation(starvation, self.guest.clone(), self.link.clone()));
        }
        tokio::spawn(watch.run(children));
        Ok(())
    }
}

enum StartError {
    Guest(SetupError),
    Io(io::Error),
}

impl From<SetupError> for StartError {
    fn from(error: SetupError) -> Self {
        Self::Guest(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Ends a function that has no memory left but does not die of it.
async fn end_starvation<T: Transport>(
    starvation: AsyncFd<OwnedFd>,
    guest: Arc<dyn Guest>,
    link: Arc<HostLink<T>>,
) {
    while let Ok(mut ready) = starvation.ready(Interest::PRIORITY).await {
        ready.clear_ready();
        if let Err(error) = guest.kill_if_at_limit() {
            fail(&link, &error);
        }
    }
}

/// Watches over a running runtime.
struct Watch<T> {
    link: Arc<HostLink<T>>,
    guest: Arc<dyn Guest>,
    api: Arc<RuntimeApi<T>>,
    logs: Arc<LogPipe>,
    pid: i32,
}

impl<T: Transport> Watch<T> {
    async fn run(self, mut children: Signal) {
        let (logs, link) = (self.logs.clone(), self.link.clone());
        // An error is the pipe's end by another name; the runtime's own end is
        // noticed below.
        let pump = tokio::spawn(async move { drop(logs.pump(&link).await) });
        let mut alive = true;
        loop {
            match process::reap(self.pid) {
                Ok(Some(status)) if alive => {
                    alive = false;
                    // At once: an event that comes from here on is not its.
                    let in_event = self.api.in_event();
                    pump.abort();
                    if let Err(error) = self.guest.kill() {
                        fail(&self.link, &error);
                    }
                    let mut frames = Vec::new();
                    drop(self.logs.drain(&mut frames));
                    self.link.send(frames);
                    self.link.send_message(&FromAgent::RuntimeExited {
                        status,
                        in_event,
                        out_of_memory: self.guest.out_of_memory(),
                        memory_peak_bytes: self.guest.memory_peak_bytes(),
                    });
                }
                Ok(_) => {}
                Err(source) => {
                    fail(&self.link, &SetupError::Step { step: "wait for a child".into(), source });
                }
            }
            if children.recv().await.is_none() {
                return;
            }
        }
    }
}
