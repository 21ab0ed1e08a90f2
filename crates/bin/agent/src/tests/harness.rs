//! A session over a socket pair, with the test as the worker and, where a test
//! wants one, a real process as the runtime.

use crate::error::{During, SetupError};
use crate::guest::Guest;
use crate::process::{Command, SpawnError, Spawned, spawn};
use crate::session::{self, SessionError};
use hearth_agent_proto::{
    Configure, Decoder, EarlyStart, Frame, FromAgent, Identity, InvokeHead, Limits,
    PROTOCOL_VERSION, Prepare, ResultHead, ToAgent, encode_bulk, encode_message,
};
use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

/// What the lesser guest says of its memory.
pub(super) const PEAK: u64 = 42;

/// A guest without a machine: it only starts a shell.
struct LesserGuest {
    script: PathBuf,
    api: SocketAddr,
    pid: AtomicI32,
    configures: bool,
    _dir: tempfile::TempDir,
}

impl Guest for LesserGuest {
    fn prepare(&self, _: &Prepare) -> Result<(), SetupError> {
        Ok(())
    }

    fn restore(&self, identity: &Identity) -> Result<(), SetupError> {
        let named = !identity.hostname.is_empty();
        if named { Ok(()) } else { Err(io::Error::other("no name")).during(|| "restore".into()) }
    }

    fn configure(&self, _: &Configure) -> Result<(), SetupError> {
        let result = if self.configures { Ok(()) } else { Err(io::Error::other("no")) };
        result.during(|| "configure".into())
    }

    /// The script is sourced, not executed: a file just written may still be
    /// open for writing in another test's child, and would be "busy".
    fn start(&self, environment: &[(String, String)], line: bool) -> Result<Spawned, SetupError> {
        let own = [
            format!("BASH_ENV={}", self.script.display()),
            format!("API=/dev/tcp/127.0.0.1/{}", self.api.port()),
            "PATH=/usr/bin:/bin".into(),
        ];
        let given = environment.iter().map(|(name, value)| format!("{name}={value}"));
        let environment: Vec<_> =
            own.into_iter().chain(given).map(|v| CString::new(v).unwrap()).collect();
        let environment = &environment;
        let command =
            Command { program: c"/bin/bash", environment, root: None, cgroup: None, line };
        let spawned = spawn(&command).map_err(|e| match e {
            SpawnError::Exec(source) | SpawnError::Setup(source) => {
                SetupError::Step { step: "start".into(), source }
            }
        })?;
        self.pid.store(spawned.pid, Ordering::Relaxed);
        Ok(spawned)
    }

    fn correct_clock(&self, _: u64) -> Result<(), SetupError> {
        Ok(())
    }
    fn memory_peak_bytes(&self) -> u64 {
        PEAK
    }
    fn starvation(&self) -> Result<Option<OwnedFd>, SetupError> {
        Ok(None)
    }
    fn kill_if_at_limit(&self) -> Result<(), SetupError> {
        Ok(())
    }
    fn out_of_memory(&self) -> bool {
        false
    }

    /// The runtime leads a session, and with it a process group, of its own.
    fn kill(&self) -> Result<(), SetupError> {
        use rustix::process::{Pid, Signal, kill_process_group};
        match Pid::from_raw(self.pid.load(Ordering::Relaxed)) {
            None => Ok(()),
            // Nobody is left: as good.
            Some(group) => kill_process_group(group, Signal::KILL)
                .or_else(|e| if e == rustix::io::Errno::SRCH { Ok(()) } else { Err(e) })
                .during(|| "kill".into()),
        }
    }
}

impl Drop for LesserGuest {
    fn drop(&mut self) {
        self.kill().unwrap();
    }
}

/// A running session, seen from the worker's end.
pub(super) struct Sandbox {
    stream: UnixStream,
    decoder: Decoder,
    /// All output of the function so far.
    pub(super) log: Vec<u8>,
    /// Where the Runtime API listens.
    pub(super) api: SocketAddr,
    session: JoinHandle<Result<(), SessionError>>,
}

/// A script for tests that play the runtime themselves.
pub(super) const IDLE: &str = "exec sleep 1000";

impl Sandbox {
    /// A session that has said hello.
    pub(super) async fn booted(script: &str, configures: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runtime.sh");
        std::fs::write(&path, format!("unset BASH_ENV\n{script}")).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let api = listener.local_addr().unwrap();
        let guest =
            LesserGuest { script: path, api, pid: AtomicI32::new(0), configures, _dir: dir };
        let (stream, agent) = UnixStream::pair().unwrap();
        let session = tokio::spawn(session::run(agent, listener, Ok(Arc::new(guest)), 7));
        let mut sandbox = Self { stream, decoder: Decoder::new(), log: Vec::new(), api, session };
        assert_eq!(
            sandbox.message().await,
            FromAgent::Hello { protocol: PROTOCOL_VERSION, booted_us: 7 }
        );
        sandbox
    }

    /// A session whose runtime runs `script`.
    pub(super) async fn running(script: &str) -> Self {
        let mut sandbox = Self::booted(script, true).await;
        sandbox.prepare(None).await;
        assert!(matches!(sandbox.message().await, FromAgent::Prepared { .. }));
        sandbox.configure().await;
        assert!(matches!(sandbox.message().await, FromAgent::Configured { .. }));
        sandbox
    }

    /// A session in which the test plays the runtime, and has asked for work.
    pub(super) async fn ready() -> (Self, Client) {
        let mut sandbox = Self::running(IDLE).await;
        let mut client = Client::connect(sandbox.api).await;
        client.ask("GET", "/invocation/next", "").await;
        let done = sandbox.message().await;
        assert!(matches!(done, FromAgent::InitDone { memory_peak_bytes: PEAK, .. }), "{done:?}");
        (sandbox, client)
    }

    /// Has the guest be one of its runtime, and start that with an environment.
    pub(super) async fn prepare(&mut self, start: Option<EarlyStart>) {
        let prepare = Prepare { clock_unix_ns: 0, entropy: [0; 32], start };
        self.send(&ToAgent::Prepare(Box::new(prepare)), b"").await;
    }

    pub(super) async fn configure(&mut self) {
        let configure = Configure {
            identity: identity("sb"),
            environment: vec![("GREETING".into(), "hello".into())],
            limits: Limits { memory_bytes: 1 << 28, tmp_bytes: 1 << 29, processes: 100 },
        };
        self.send(&ToAgent::Configure(Box::new(configure)), b"").await;
    }

    pub(super) async fn send(&mut self, message: &ToAgent, bulk: &[u8]) {
        let mut wire = Vec::new();
        encode_message(message, &mut wire).unwrap();
        encode_bulk(bulk, &mut wire);
        self.stream.write_all(&wire).await.unwrap();
    }

    pub(super) async fn invoke(&mut self, id: &str, payload: &[u8]) {
        self.send(&ToAgent::Invoke(head(id, payload)), payload).await;
    }

    async fn frame(&mut self) -> Frame<FromAgent> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return frame;
            }
            let n = self.stream.read_buf(self.decoder.buffer()).await.unwrap();
            assert!(n > 0, "the agent closed its stream");
        }
    }

    pub(super) async fn bulk(&mut self, length: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length as usize {
            match self.frame().await {
                Frame::Bulk(more) => bytes.extend_from_slice(&more),
                Frame::Message(message) => panic!("{message:?} amid bulk"),
            }
        }
        assert_eq!(bytes.len(), length as usize);
        bytes
    }

    /// The next message that is not output.
    pub(super) async fn message(&mut self) -> FromAgent {
        loop {
            match self.frame().await {
                Frame::Message(FromAgent::Log { bytes }) => {
                    let bytes = self.bulk(bytes).await;
                    self.log.extend_from_slice(&bytes);
                }
                Frame::Message(message) => return message,
                Frame::Bulk(_) => panic!("bulk without a message"),
            }
        }
    }

    /// An answer, whole.
    pub(super) async fn result(&mut self) -> (ResultHead, Vec<u8>) {
        let head = match self.message().await {
            FromAgent::Result(head) => head,
            other => panic!("{other:?}"),
        };
        let body = self.bulk(head.body_bytes).await;
        let end = self.message().await;
        assert!(matches!(end, FromAgent::ResultEnd { memory_peak_bytes: PEAK, .. }), "{end:?}");
        (head, body)
    }

    /// Closes the worker's end for writing.
    pub(super) async fn hang_up(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// How the session ended, once it has.
    pub(super) async fn ended(self) -> Result<(), SessionError> {
        self.session.await.unwrap()
    }
}

pub(super) fn identity(hostname: &str) -> Identity {
    Identity { hostname: hostname.into(), clock_unix_ns: 0, entropy: [0; 32], network: None }
}

/// How long events may run.
pub(super) const TIMEOUT_MS: u32 = 3_000;

pub(super) fn head(id: &str, payload: &[u8]) -> InvokeHead {
    InvokeHead {
        request_id: id.into(),
        timeout_ms: TIMEOUT_MS,
        invoked_arn: "arn:aws:lambda:local:1:function:f".into(),
        trace_id: "Root=1-2-3".into(),
        client_context: Some("{\n\"a\":1}".into()),
        clock_unix_ns: 0,
        payload_bytes: payload.len() as u32,
    }
}

/// A runtime's connection, down to the bytes.
pub(super) struct Client {
    pub(super) stream: TcpStream,
}

impl Client {
    pub(super) async fn connect(api: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(api).await.unwrap() }
    }

    pub(super) async fn ask(&mut self, method: &str, path: &str, body: &str) {
        self.ask_for(method, &format!("/2018-06-01/runtime{path}"), body).await;
    }

    /// The same, of a path that is not of AWS's API.
    pub(super) async fn ask_for(&mut self, method: &str, path: &str, body: &str) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.stream.write_all(body.as_bytes()).await.unwrap();
    }

    /// Status, head and body of the next reply.
    pub(super) async fn reply(&mut self) -> (u16, String, String) {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length: usize = head
                    .to_lowercase()
                    .split_once("content-length: ")
                    .map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
                if body.len() >= length {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return (status, head.to_owned(), body.to_owned());
                }
            }
            let n = self.stream.read_buf(&mut bytes).await.unwrap();
            assert!(n > 0, "closed after {text:?}");
        }
    }

    pub(super) async fn status(&mut self, method: &str, path: &str, body: &str) -> u16 {
        self.ask(method, path, body).await;
        self.reply().await.0
    }
}
