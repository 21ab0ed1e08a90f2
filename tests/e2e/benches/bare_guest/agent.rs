//! The worker's part of the talk with a guest's agent, with nothing around it:
//! blocking reads on one thread, so that warm round trips are a floor.

use anyhow::{Context, Result, bail, ensure};
use hearth_agent_proto::{
    Configure, Decoder, EarlyStart, Frame, FromAgent, Identity, InvokeHead, PROTOCOL_VERSION,
    Prepare, ResultKind, ToAgent, encode_bulk, encode_message,
};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest wait for any one step; a boot in software on a busy machine is slow.
const STEP_MAX: Duration = Duration::from_secs(120);
/// What one read takes at most.
const READ_BYTES_MAX: usize = 64 * 1024;
/// The event: what `hearth bench` sends by default.
const EVENT: &[u8] = b"{}";
/// How long the function may run.
const TIMEOUT_MS: u32 = 30_000;

/// The stream to a guest's agent.
pub(crate) struct Agent {
    stream: UnixStream,
    decoder: Decoder,
    buffer: Vec<u8>,
}

/// When a guest got where, counted from the start of its VMM.
pub(crate) struct Progress {
    /// The agent spoke.
    pub(crate) hello: Duration,
    /// The guest has its identity.
    pub(crate) configured: Duration,
    /// The runtime asked for its first event.
    pub(crate) ready: Duration,
}

impl Agent {
    /// Takes the host's end of the port.
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, decoder: Decoder::new(), buffer: vec![0; READ_BYTES_MAX] }
    }

    /// Sees a guest, whose VMM was started at `started`, through to a function
    /// that is ready; its runtime may start before it has one.
    pub(crate) fn initialise(
        &mut self,
        started: Instant,
        start: Option<EarlyStart>,
        mut configure: Configure,
    ) -> Result<Progress> {
        match self.hear().context("boot")? {
            FromAgent::Hello { protocol: PROTOCOL_VERSION, .. } => {}
            other => bail!("boot: {other:?}"),
        }
        let hello = started.elapsed();
        let entropy = configure.identity.entropy;
        let prepare = Prepare { clock_unix_ns: unix_ns(), entropy, start };
        self.say(&ToAgent::Prepare(Box::new(prepare)))?;
        match self.hear().context("runtime")? {
            FromAgent::Prepared { .. } => {}
            other => bail!("runtime: {other:?}"),
        }
        configure.identity.clock_unix_ns = unix_ns();
        self.say(&ToAgent::Configure(Box::new(configure)))?;
        match self.hear().context("identity")? {
            FromAgent::Configured { .. } => {}
            other => bail!("identity: {other:?}"),
        }
        let configured = started.elapsed();
        match self.hear().context("init")? {
            FromAgent::InitDone { .. } => {}
            other => bail!("init: {other:?}"),
        }
        Ok(Progress { hello, configured, ready: started.elapsed() })
    }

    /// Makes a clone a sandbox of its own.
    pub(crate) fn restore(&mut self, mut identity: Identity) -> Result<()> {
        identity.clock_unix_ns = unix_ns();
        self.say(&ToAgent::Restore(Box::new(identity)))?;
        match self.hear().context("restore")? {
            FromAgent::Restored { .. } => Ok(()),
            other => bail!("restore: {other:?}"),
        }
    }

    fn say(&mut self, message: &ToAgent) -> Result<()> {
        let mut wire = Vec::new();
        encode_message(message, &mut wire)?;
        Ok(self.stream.write_all(&wire)?)
    }

    /// Runs one event; returns how long it took beyond the function's own run.
    pub(crate) fn invoke(&mut self, number: u32) -> Result<Duration> {
        let sent = Instant::now();
        let head = InvokeHead {
            request_id: format!("00000000-0000-4000-8000-{number:012}"),
            timeout_ms: TIMEOUT_MS,
            invoked_arn: "arn:aws:lambda:local:000000000000:function:bare".into(),
            trace_id: "Root=1-00000000-000000000000000000000000;Sampled=0".into(),
            client_context: None,
            clock_unix_ns: unix_ns(),
            payload_bytes: EVENT.len() as u32,
        };
        let mut wire = Vec::new();
        encode_message(&ToAgent::Invoke(head), &mut wire)?;
        encode_bulk(EVENT, &mut wire);
        self.stream.write_all(&wire)?;
        match self.hear()? {
            FromAgent::Result(head) if head.kind == ResultKind::Response => {}
            other => bail!("event {number}: {other:?}"),
        }
        match self.hear()? {
            FromAgent::ResultEnd { run_us, .. } => {
                Ok(sent.elapsed().saturating_sub(Duration::from_micros(run_us)))
            }
            other => bail!("event {number}: {other:?}"),
        }
    }

    /// The next message that is not the function's output.
    fn hear(&mut self) -> Result<FromAgent> {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            while let Some(frame) = self.decoder.next_frame::<FromAgent>()? {
                match frame {
                    Frame::Message(FromAgent::Log { .. }) | Frame::Bulk(_) => {}
                    Frame::Message(message) => return Ok(message),
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "nothing was heard of the guest in {STEP_MAX:?}");
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut self.buffer) {
                Ok(0) => bail!("the guest's stream ended"),
                Ok(read) => self.decoder.buffer().extend_from_slice(&self.buffer[..read]),
                // The deadline, looked at above.
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e).context("read from the guest"),
            }
        }
    }
}

fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}
