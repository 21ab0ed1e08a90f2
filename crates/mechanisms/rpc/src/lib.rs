//! Calls between the nodes of a cluster: gRPC over HTTP/2 with mutual TLS. This crate
//! knows nothing of Hearth's services; it carries messages, and says what became of them.
//!
//! ```text
//!  Channels ─► Channel ─► Connection ═══ TLS 1.3, HTTP/2 ═══► Router ─► handler, a task
//!  by address  one peer   made on first      both sides show   limits    of its own that
//!                         use, made again    certificates of   first     runs to its end
//!                         once it ended      the cluster's CA
//! ```
//!
//! - A [`Method`] is a path and how large its messages may be, known to both sides.
//!   Messages are any serde types, as MessagePack with named fields: a node knows what
//!   its neighbour's older or newer version says (`codec`).
//! - A [`CallError`] tells apart what never happened, what may have, and what the peer
//!   would not do. Errors of the application are part of the answer.
//! - Small calls that are made often go many at a time, over a stream that stays open
//!   ([`Gather`]).
//! - The death of a peer is noticed at once if its host lives to say so, else within
//!   about two seconds by pings ([`Link::closed`]).
//! - `pki` makes the certificates that `security` checks.
//!
//! Everything is bounded: messages, calls, bytes, connections, waits (`limits`).
#![forbid(unsafe_code)]

mod client;
mod codec;
mod error;
mod hello;
mod identity;
mod limits;
mod method;
mod outcome;
mod peer;
pub mod pki;
mod security;
mod server;

pub use client::{Channel, Channels, Gather, GatheredError, Link};
pub use error::{CallError, ConnectError, Lost, NotSent, PoolFull, Refusal, ServeError};
pub use identity::{Identity, IdentityError, IdentityFiles};
pub use limits::{
    CHANNEL_CALLS_MAX, CHANNELS_MAX, GATHERED_MAX, MESSAGE_BYTES_MAX, METHOD_BYTES_MAX,
    SERVER_CALLS_MAX, SERVER_CONNECTIONS_MAX, SERVER_GRACE, SERVER_REQUEST_BYTES_MAX, ServerLimits,
};
pub use method::Method;
pub use peer::Peer;
pub use security::{Security, SecurityError};
pub use server::Router;
