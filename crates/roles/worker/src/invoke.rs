//! Running one event in a sandbox.

use crate::assembler::AgentEvent;
use crate::channel::ChannelError;
use crate::failure::Failure;
use crate::metrics;
use crate::report::{self, Report};
use crate::sandbox::Sandbox;
use crate::tail::Tail;
use bytes::Bytes;
use hearth_agent_proto::{InvokeHead, ResultKind, ToAgent, encode_bulk, encode_message};
use hearth_services::worker::{FunctionFailure, Invocation, InvokeError, InvokeResult, Invoked};
use hearth_types::Timestamp;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How an event ended inside the guest.
enum Ended {
    /// The runtime answered.
    Answered { kind: ResultKind, body: Bytes, run: Duration, memory_peak_bytes: u64 },
    /// The runtime or the guest broke; the sandbox is of no more use.
    Broken { failure: Failure, memory_peak_bytes: u64 },
}

impl Sandbox {
    /// Runs `event`. The caller is the only one: a second at the same time
    /// would break the first invariant and is refused.
    pub(crate) async fn invoke(&self, event: Invocation) -> Result<Invoked, InvokeError> {
        let Ok(mut channel) = self.channel.try_lock() else {
            tracing::error!(sandbox = %self.id, "a second invocation was sent to a busy sandbox");
            return Err(InvokeError::Gone);
        };
        // What happened while nobody listened: output, or the runtime's end.
        let mut ended = None;
        let drained = channel.drain(|said| match said {
            AgentEvent::Log(bytes) => self.log.append(&bytes),
            other => ended = Some(other),
        });
        // A runtime that ends between two events costs neither: another sandbox
        // serves. One that ends before its first would do so in every sandbox,
        // so that its caller is told.
        let first = event.started.is_some();
        match ended {
            None if drained.is_ok() => {}
            Some(AgentEvent::RuntimeExited {
                status, out_of_memory, memory_peak_bytes, ..
            }) if first => {
                let failure = Failure::RuntimeExited { status, out_of_memory };
                let ended = Ended::Broken { failure, memory_peak_bytes };
                let log = self.begin_log(&event);
                return Ok(self.conclude(event, ended, Duration::ZERO, log));
            }
            _ => return Err(InvokeError::Gone),
        }

        let began = Instant::now();
        let wire = encode(&event).map_err(|error| {
            tracing::error!(%error, "an invocation does not encode");
            InvokeError::Gone
        })?;
        // It died idle, a moment ago: nothing was lost, and another may serve.
        let sent = channel.send_at_once(&wire).map_err(|_closed| InvokeError::Gone)?;
        // After the event is on its way, since the guest should not wait for it.
        let mut log = self.begin_log(&event);

        let mut answer = None;
        let exchange = channel.exchange(&wire[sent..], |said| match said {
            AgentEvent::Log(bytes) => {
                log.push(&bytes);
                None
            }
            AgentEvent::Result { kind, body } => {
                answer = Some((kind, body));
                None
            }
            AgentEvent::ResultEnd { run_us, memory_peak_bytes } => Some(Ok(match answer.take() {
                Some((kind, body)) => {
                    let run = Duration::from_micros(run_us);
                    Ended::Answered { kind, body, run, memory_peak_bytes }
                }
                None => Ended::Broken { failure: Failure::SandboxLost, memory_peak_bytes },
            })),
            AgentEvent::RuntimeExited { in_event: false, .. } if !first => {
                Some(Err(InvokeError::Gone))
            }
            AgentEvent::RuntimeExited { status, out_of_memory, memory_peak_bytes, .. } => {
                let failure = Failure::RuntimeExited { status, out_of_memory };
                Some(Ok(Ended::Broken { failure, memory_peak_bytes }))
            }
            other => {
                tracing::warn!(sandbox = %self.id, said = other.summary(), "the agent failed");
                Some(Ok(Ended::Broken { failure: Failure::SandboxLost, memory_peak_bytes: 0 }))
            }
        });
        let ended = match tokio::time::timeout(event.timeout, exchange).await {
            Ok(Ok(ended)) => ended?,
            Ok(Err(error)) => self.lost(&error),
            Err(_) => {
                Ended::Broken { failure: Failure::TimedOut(event.timeout), memory_peak_bytes: 0 }
            }
        };
        Ok(self.conclude(event, ended, began.elapsed(), log))
    }

    fn begin_log(&self, event: &Invocation) -> InvocationLog<'_> {
        let tail = event.log_tail.then(Tail::default);
        let mut log = InvocationLog { sandbox: self, tail };
        log.push(report::start(event.request_id, self.version.key.version).as_bytes());
        log
    }

    fn lost(&self, error: &ChannelError) -> Ended {
        tracing::warn!(sandbox = %self.id, error = error as &dyn std::error::Error,
            "a sandbox was lost in an invocation");
        self.is_lost.store(true, Ordering::Relaxed);
        Ended::Broken { failure: Failure::SandboxLost, memory_peak_bytes: 0 }
    }

    /// Turns how it ended into the caller's answer, and writes the last lines.
    fn conclude(
        &self,
        event: Invocation,
        ended: Ended,
        elapsed: Duration,
        mut log: InvocationLog<'_>,
    ) -> Invoked {
        let id = event.request_id;
        let (result, failure, run, peak) = match ended {
            Ended::Answered { kind, body, run, memory_peak_bytes } => {
                let (result, failure) = match kind {
                    ResultKind::Response => (InvokeResult::Response(body), None),
                    ResultKind::Error => {
                        (InvokeResult::HandlerError(FunctionFailure { body }), None)
                    }
                    // Told 413, AWS's clients end the runtime, a moment after this:
                    // too late for the next event not to be sent to it.
                    ResultKind::TooLarge { bytes } => {
                        let failure = Failure::ResponseTooLarge { bytes };
                        (InvokeResult::SandboxFailed(failure.for_request(id)), Some(failure))
                    }
                };
                // A guest's word on time is only taken within what was seen.
                (result, failure, run.min(elapsed), memory_peak_bytes)
            }
            Ended::Broken { failure, memory_peak_bytes } => {
                let result = InvokeResult::SandboxFailed(failure.for_request(id));
                (result, Some(failure), elapsed, memory_peak_bytes)
            }
        };
        failure.iter().for_each(metrics::broken);
        let memory_used_mb =
            peak.div_ceil(1024 * 1024).min(u64::from(self.version.memory.get())) as u32;
        let report = Report {
            id,
            run,
            started: event.started,
            memory: self.version.memory,
            memory_used_mb,
            failure: failure.as_ref(),
        };
        log.push(report.lines(Timestamp::now()).as_bytes());
        Invoked { result, run, memory_used_mb, log_tail: log.tail.map(Tail::into_bytes) }
    }
}

/// Where an invocation's lines go: the function's log, and the tail if asked for.
struct InvocationLog<'a> {
    sandbox: &'a Sandbox,
    tail: Option<Tail>,
}

impl InvocationLog<'_> {
    fn push(&mut self, bytes: &[u8]) {
        self.sandbox.log.append(bytes);
        if let Some(tail) = &mut self.tail {
            tail.push(bytes);
        }
    }
}

fn encode(event: &Invocation) -> Result<Vec<u8>, hearth_agent_proto::ProtocolError> {
    let now = hearth_ambient::clock::unix_now();
    let head = InvokeHead {
        request_id: event.request_id.to_string(),
        timeout_ms: event.timeout.as_millis() as u32,
        invoked_arn: event.invoked_arn.clone(),
        trace_id: event.trace_id.clone(),
        client_context: event.client_context.clone(),
        clock_unix_ns: now.as_nanos() as u64,
        payload_bytes: event.payload.len() as u32,
    };
    let mut wire = Vec::with_capacity(event.payload.len() + 1024);
    encode_message(&ToAgent::Invoke(head), &mut wire)?;
    encode_bulk(&event.payload, &mut wire);
    Ok(wire)
}
