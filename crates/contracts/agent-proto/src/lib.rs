//! The protocol between a worker and the agent inside a guest, over one byte
//! stream (a virtio-serial port, later vsock).
//!
//! ```text
//!        0        4      5
//!        ┌────────┬──────┬──────────────────────────────┐
//! frame  │ length │ kind │ body, `length` bytes          │
//!        │ u32 LE │ u8   │ ≤ FRAME_BODY_BYTES_MAX        │
//!        └────────┴──────┴──────────────────────────────┘
//! kind 0: bulk bytes, verbatim      kind 1: a message, postcard
//! ```
//!
//! ```text
//!   worker                                        agent
//!     │                                 Hello ──────│  booted       ┄┄ OS snapshot
//!     │── Prepare ────────────────────────────────► │  the runtime's layer
//!     │                              Prepared ──────│  started      ┄┄ runtime snapshot
//!     │── Configure ──────────────────────────────► │  identity, code, limits
//!     │                            Configured ──────│
//!     │       Log, bulk… (any time from here on)    │
//!     │                   InitDone | InitFailed ────│  initialised  ┄┄ function snapshot
//!     │── Restore ────────────────────────────────► │  a clone only: identity, hooks
//!     │              Restored | RestoreFailed ──────│
//!     │── Invoke, bulk… ──────────────────────────► │
//!     │                       Result, bulk… ────────│
//!     │                            ResultEnd ───────│  idle again
//!     │                        RuntimeExited ───────│  at any time; the end
//! ```
//!
//! At the dotted lines a guest can be captured: the agent waits for the worker and
//! has nothing under way. A clone goes on from there, over a stream of its own.
//!
//! A guest is hostile: everything decoded here is bounded, and whatever breaks
//! the rules is a [`ProtocolError`], which costs that guest its life and
//! nobody else anything.
#![forbid(unsafe_code)]

mod codec;
mod message;

pub use codec::{Decoder, Frame, ProtocolError, encode_bulk, encode_message};
pub use message::{
    Configure, EarlyStart, ExitStatus, FailureKind, FromAgent, Identity, InvokeHead, Limits,
    Network, Prepare, ResultHead, ResultKind, ToAgent,
};

/// Version of this protocol; the two ends must have the same.
pub const PROTOCOL_VERSION: u16 = 4;
/// Largest frame body. Small enough that one frame never holds up another
/// sandbox, large enough that a 6 MiB payload is a hundred frames.
pub const FRAME_BODY_BYTES_MAX: usize = 64 * 1024;
/// Length of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 5;
