//! What a worker and an agent say to each other before the first event, step by step.
//!
//! ```text
//! Hello ─► Prepare ─► Prepared ─► Configure ─► Configured ─► InitDone    a function's init
//!                                                 Restore ─► Restored    a clone of that
//! ```

use crate::assembler::AgentEvent;
use crate::channel::{AgentChannel, ChannelError};
use crate::failure::Failure;
use hearth_agent_proto::{
    Configure, EarlyStart, FailureKind, Identity, PROTOCOL_VERSION, Prepare, ToAgent,
    encode_message,
};
use hearth_function_logs::LogWriter;
use hearth_services::worker::{FunctionFailure, InitFailure};
use std::time::Duration;

/// Longest that a guest may take to boot; generous, for an emulated guest on a
/// loaded host.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that a guest may take to mount its runtime, or to start it early.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest that a guest may take to take on its identity.
const CONFIGURE_TIMEOUT: Duration = Duration::from_secs(20);

/// A guest that did not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialogueError {
    #[error("the guest did not {0} in time")]
    TimedOut(&'static str),
    #[error("the stream to the guest failed")]
    Channel(#[from] ChannelError),
    #[error("the guest speaks protocol {0}, not {PROTOCOL_VERSION}: rebuild the guest images")]
    Protocol(u16),
    #[error("the guest's agent failed: {0}")]
    Agent(String),
    #[error("the guest said {0} out of turn")]
    OutOfTurn(String),
    #[error("a message to the guest does not encode")]
    Encode(#[source] hearth_agent_proto::ProtocolError),
}

/// How a function's own part ended, if the guest held.
pub(crate) enum Outcome {
    /// It is ready.
    Done,
    /// It failed, and so did the sandbox.
    Failed { failure: InitFailure, error_type: String },
}

impl Outcome {
    /// What befell a function.
    pub(crate) fn befell(failure: &Failure) -> Self {
        Self::Failed { failure: failure.for_init(), error_type: failure.error_type().to_owned() }
    }

    /// What a runtime reported: Lambda's error JSON.
    fn reported(body: bytes::Bytes) -> Self {
        let error_type = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|v| v.get("errorType")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| "Runtime.Unknown".into());
        Self::Failed { failure: InitFailure::Reported(FunctionFailure { body }), error_type }
    }
}

/// Waits for a guest that boots.
pub(crate) async fn hello(channel: &mut AgentChannel) -> Result<(), DialogueError> {
    let event = within(BOOT_TIMEOUT, "boot", async { Ok(channel.next().await?) }).await?;
    match event {
        AgentEvent::Hello { protocol: PROTOCOL_VERSION } => Ok(()),
        AgentEvent::Hello { protocol } => Err(DialogueError::Protocol(protocol)),
        other => Err(unexpected(other)),
    }
}

/// Makes a booted guest one of its runtime, started if it can do something before its
/// function is known.
pub(crate) async fn prepare(
    channel: &mut AgentChannel,
    start: Option<EarlyStart>,
) -> Result<(), DialogueError> {
    let prepare = Prepare {
        clock_unix_ns: hearth_ambient::clock::unix_now().as_nanos() as u64,
        entropy: hearth_ambient::random::bytes(),
        start,
    };
    let wire = encode(&ToAgent::Prepare(Box::new(prepare)))?;
    let prepared = async {
        // What it says before it has a function concerns nobody.
        let heard = |event| (!matches!(event, AgentEvent::Log(_))).then_some(event);
        Ok(channel.exchange(&wire, heard).await?)
    };
    match within(PREPARE_TIMEOUT, "prepare its runtime", prepared).await? {
        AgentEvent::Prepared => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// Makes a prepared guest its sandbox, whose runtime then initialises.
pub(crate) async fn configure(
    channel: &mut AgentChannel,
    configure: Configure,
) -> Result<Outcome, DialogueError> {
    let wire = encode(&ToAgent::Configure(Box::new(configure)))?;
    let configured = async { Ok(channel.exchange(&wire, Some).await?) };
    match within(CONFIGURE_TIMEOUT, "take on its identity", configured).await? {
        AgentEvent::Configured => Ok(Outcome::Done),
        AgentEvent::Failed { kind: FailureKind::NoEntrypoint, .. } => {
            Ok(Outcome::befell(&Failure::NoEntrypoint))
        }
        other => Err(unexpected(other)),
    }
}

/// Waits for the runtime to be through with its initialisation.
pub(crate) async fn initialised(
    channel: &mut AgentChannel,
    log: &LogWriter,
) -> Result<Outcome, DialogueError> {
    loop {
        return Ok(match channel.next().await? {
            AgentEvent::Log(bytes) => {
                log.append(&bytes);
                continue;
            }
            AgentEvent::InitDone { .. } => Outcome::Done,
            AgentEvent::InitFailed { body } => Outcome::reported(body),
            other => ended(other)?,
        });
    }
}

/// Makes a clone a sandbox of its own, and waits for the function's hooks.
pub(crate) async fn restore(
    channel: &mut AgentChannel,
    identity: Identity,
    log: &LogWriter,
) -> Result<Outcome, DialogueError> {
    let wire = encode(&ToAgent::Restore(Box::new(identity)))?;
    let event = channel
        .exchange(&wire, |event| match event {
            AgentEvent::Log(bytes) => {
                log.append(&bytes);
                None
            }
            event => Some(event),
        })
        .await?;
    match event {
        AgentEvent::Restored => Ok(Outcome::Done),
        AgentEvent::RestoreFailed { body } => Ok(Outcome::reported(body)),
        other => ended(other),
    }
}

/// The end of a runtime that was to get ready, as the function's failure.
fn ended(event: AgentEvent) -> Result<Outcome, DialogueError> {
    match event {
        AgentEvent::RuntimeExited { status, out_of_memory, .. } => {
            Ok(Outcome::befell(&Failure::RuntimeExited { status, out_of_memory }))
        }
        AgentEvent::Failed { kind: FailureKind::NoEntrypoint, .. } => {
            Ok(Outcome::befell(&Failure::NoEntrypoint))
        }
        other => Err(unexpected(other)),
    }
}

async fn within<T>(
    limit: Duration,
    what: &'static str,
    step: impl Future<Output = Result<T, DialogueError>>,
) -> Result<T, DialogueError> {
    tokio::time::timeout(limit, step).await.map_err(|_| DialogueError::TimedOut(what))?
}

fn encode(message: &ToAgent) -> Result<Vec<u8>, DialogueError> {
    let mut wire = Vec::new();
    encode_message(message, &mut wire).map_err(DialogueError::Encode)?;
    Ok(wire)
}

fn unexpected(event: AgentEvent) -> DialogueError {
    match event {
        AgentEvent::Failed { detail, .. } => DialogueError::Agent(detail),
        event => DialogueError::OutOfTurn(event.summary()),
    }
}
