//! The calling side: one connection per peer, made on first use and again once it ended.

mod call;
mod channel;
mod connection;
mod dial;
mod gather;
mod pool;
mod send;

pub use channel::Channel;
pub use connection::Link;
pub use gather::{Gather, GatheredError};
pub use pool::Channels;
