//! Frames from an agent, assembled into whole events.
//!
//! Everything here comes from a hostile guest. Each body is bounded before a
//! byte of it is kept, and whatever breaks the protocol is a [`Violation`].

use bytes::Bytes;
use hearth_agent_proto::{
    ExitStatus, FRAME_BODY_BYTES_MAX, FailureKind, Frame, FromAgent, ResultHead, ResultKind,
};
use hearth_types::INVOKE_RESPONSE_BYTES_MAX;

/// Longest text of a [`FromAgent::Failed`] that is kept.
const FAILURE_DETAIL_BYTES_MAX: usize = 1024;

/// Something an agent said, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgentEvent {
    /// The guest has booted.
    Hello { protocol: u16 },
    /// The guest is one of its runtime.
    Prepared,
    /// The guest has its identity.
    Configured,
    /// The clone has its identity, and its function knows.
    Restored,
    /// A hook of the function failed in the clone; its error JSON.
    RestoreFailed { body: Bytes },
    /// The runtime asked for its first event.
    InitDone { memory_peak_bytes: u64 },
    /// The runtime gave up; its error JSON.
    InitFailed { body: Bytes },
    /// Output of the function.
    Log(Bytes),
    /// The answer's kind and body.
    Result { kind: ResultKind, body: Bytes },
    /// The event is over.
    ResultEnd { run_us: u64, memory_peak_bytes: u64 },
    /// The runtime is gone, in an event that it took or between two.
    RuntimeExited {
        status: ExitStatus,
        in_event: bool,
        out_of_memory: bool,
        memory_peak_bytes: u64,
    },
    /// The agent could not go on.
    Failed { kind: FailureKind, detail: String },
}

impl AgentEvent {
    /// What was said, short enough for a log line: a body stays out of it.
    pub(crate) fn summary(&self) -> String {
        let name = match self {
            Self::Failed { kind, detail } => return format!("{kind:?}: {detail:?}"),
            Self::Hello { .. } => "Hello",
            Self::Prepared => "Prepared",
            Self::Configured => "Configured",
            Self::Restored => "Restored",
            Self::RestoreFailed { .. } => "RestoreFailed",
            Self::InitDone { .. } => "InitDone",
            Self::InitFailed { .. } => "InitFailed",
            Self::Log(_) => "Log",
            Self::Result { .. } => "Result",
            Self::ResultEnd { .. } => "ResultEnd",
            Self::RuntimeExited { .. } => "RuntimeExited",
        };
        name.to_owned()
    }
}

/// The guest broke the protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// Bulk bytes that no message announced.
    #[error("bulk bytes that nothing announced")]
    UnexpectedBulk,
    /// More bytes than announced.
    #[error("more bytes than announced")]
    TooManyBytes,
    /// A body over its bound.
    #[error("a body of {0} bytes is too large")]
    BodyTooLarge(u32),
    /// An answer began within another.
    #[error("an answer within an answer")]
    NestedResult,
    /// A log piece began within another.
    #[error("a log piece within a log piece")]
    NestedLog,
    /// More than anybody listens to.
    #[error("more output than can be read")]
    Flood,
    /// A message that nothing asked for.
    #[error("an answer to a question that was not asked")]
    Unsolicited,
}

/// The state between frames.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Bytes of log still to come.
    log_bytes_left: usize,
    /// The answer whose body is coming.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    head: ResultHead,
    to: Answer,
    bytes: Vec<u8>,
}

/// What a body answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Init,
    Restore,
    Event,
}

impl Assembler {
    /// Takes the next frame; returns an event when one is complete.
    pub(crate) fn feed(
        &mut self,
        frame: Frame<FromAgent>,
    ) -> Result<Option<AgentEvent>, Violation> {
        match frame {
            Frame::Bulk(bytes) => self.bulk(bytes),
            Frame::Message(_) if self.log_bytes_left > 0 => Err(Violation::NestedLog),
            Frame::Message(message) => self.message(message),
        }
    }

    fn bulk(&mut self, bytes: Bytes) -> Result<Option<AgentEvent>, Violation> {
        if self.log_bytes_left > 0 {
            self.log_bytes_left =
                self.log_bytes_left.checked_sub(bytes.len()).ok_or(Violation::TooManyBytes)?;
            return Ok(Some(AgentEvent::Log(bytes)));
        }
        let body = self.body.as_mut().ok_or(Violation::UnexpectedBulk)?;
        if body.bytes.len() + bytes.len() > body.head.body_bytes as usize {
            return Err(Violation::TooManyBytes);
        }
        body.bytes.extend_from_slice(&bytes);
        Ok(self.body_if_complete())
    }

    fn message(&mut self, message: FromAgent) -> Result<Option<AgentEvent>, Violation> {
        Ok(Some(match message {
            FromAgent::Hello { protocol, .. } => AgentEvent::Hello { protocol },
            FromAgent::Prepared { .. } => AgentEvent::Prepared,
            FromAgent::Configured { .. } => AgentEvent::Configured,
            FromAgent::Restored { .. } => AgentEvent::Restored,
            FromAgent::InitDone { memory_peak_bytes, .. } => {
                AgentEvent::InitDone { memory_peak_bytes }
            }
            FromAgent::InitFailed(head) => return self.begin_body(head, Answer::Init),
            FromAgent::RestoreFailed(head) => return self.begin_body(head, Answer::Restore),
            FromAgent::Result(head) => return self.begin_body(head, Answer::Event),
            FromAgent::Log { bytes } if bytes as usize > FRAME_BODY_BYTES_MAX => {
                return Err(Violation::BodyTooLarge(bytes));
            }
            FromAgent::Log { bytes } => {
                self.log_bytes_left = bytes as usize;
                return Ok(None);
            }
            FromAgent::ResultEnd { .. } if self.body.is_some() => {
                return Err(Violation::NestedResult);
            }
            FromAgent::ResultEnd { run_us, memory_peak_bytes } => {
                AgentEvent::ResultEnd { run_us, memory_peak_bytes }
            }
            FromAgent::RuntimeExited { status, in_event, out_of_memory, memory_peak_bytes } => {
                AgentEvent::RuntimeExited { status, in_event, out_of_memory, memory_peak_bytes }
            }
            FromAgent::Failed { kind, mut detail } => {
                detail.truncate(detail.floor_char_boundary(FAILURE_DETAIL_BYTES_MAX));
                AgentEvent::Failed { kind, detail }
            }
            FromAgent::Pong { .. } => return Err(Violation::Unsolicited),
        }))
    }

    fn begin_body(
        &mut self,
        head: ResultHead,
        to: Answer,
    ) -> Result<Option<AgentEvent>, Violation> {
        if self.body.is_some() {
            return Err(Violation::NestedResult);
        }
        if head.body_bytes as usize > INVOKE_RESPONSE_BYTES_MAX {
            return Err(Violation::BodyTooLarge(head.body_bytes));
        }
        self.body = Some(Body { head, to, bytes: Vec::new() });
        Ok(self.body_if_complete())
    }

    fn body_if_complete(&mut self) -> Option<AgentEvent> {
        let body = self.body.take_if(|b| b.bytes.len() == b.head.body_bytes as usize)?;
        let bytes = Bytes::from(body.bytes);
        Some(match body.to {
            Answer::Init => AgentEvent::InitFailed { body: bytes },
            Answer::Restore => AgentEvent::RestoreFailed { body: bytes },
            Answer::Event => AgentEvent::Result { kind: body.head.kind, body: bytes },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(body_bytes: u32) -> ResultHead {
        ResultHead { kind: ResultKind::Response, body_bytes }
    }

    fn bulk(bytes: &'static [u8]) -> Frame<FromAgent> {
        Frame::Bulk(Bytes::from_static(bytes))
    }

    #[test]
    fn logs_may_come_between_the_pieces_of_a_body() {
        let mut a = Assembler::default();
        assert_eq!(a.feed(Frame::Message(FromAgent::Result(head(4)))), Ok(None));
        assert_eq!(a.feed(bulk(b"ab")), Ok(None));
        assert_eq!(a.feed(Frame::Message(FromAgent::Log { bytes: 3 })), Ok(None));
        assert!(matches!(a.feed(bulk(b"log")), Ok(Some(AgentEvent::Log(b))) if b == "log"));
        assert!(
            matches!(a.feed(bulk(b"cd")), Ok(Some(AgentEvent::Result { body, .. })) if body == "abcd")
        );
    }

    #[test]
    fn nothing_over_its_bound_is_kept() {
        let over = INVOKE_RESPONSE_BYTES_MAX as u32 + 1;
        let mut a = Assembler::default();
        assert_eq!(
            a.feed(Frame::Message(FromAgent::Result(head(over)))),
            Err(Violation::BodyTooLarge(over))
        );
        let mut a = Assembler::default();
        a.feed(Frame::Message(FromAgent::Result(head(1)))).unwrap();
        assert_eq!(a.feed(bulk(b"ab")), Err(Violation::TooManyBytes));
        let mut a = Assembler::default();
        assert_eq!(a.feed(bulk(b"ab")), Err(Violation::UnexpectedBulk));
    }

    fn frames() -> impl Strategy<Value = Frame<FromAgent>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64).prop_map(|b| Frame::Bulk(b.into())),
            (0u32..128).prop_map(|n| Frame::Message(FromAgent::Result(head(n)))),
            (0u32..128).prop_map(|n| Frame::Message(FromAgent::InitFailed(head(n)))),
            (0u32..128).prop_map(|bytes| Frame::Message(FromAgent::Log { bytes })),
            any::<u64>().prop_map(|run_us| Frame::Message(FromAgent::ResultEnd {
                run_us,
                memory_peak_bytes: 0
            })),
        ]
    }

    proptest! {
        /// Any order of frames ends in events or a violation, and no event ever
        /// carries more than its head announced.
        #[test]
        fn any_order_of_frames_is_survived(frames in prop::collection::vec(frames(), 0..64)) {
            let mut a = Assembler::default();
            for frame in frames {
                match a.feed(frame) {
                    Ok(Some(AgentEvent::Result { body, .. } | AgentEvent::InitFailed { body })) =>
                        prop_assert!(body.len() < 128),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
    }
}
