//! The calling side: one connection per peer, made on first use and again once it ended.

mod asking;
mod batch;
mod call;
mod channel;
mod connection;
mod dial;
mod exchange;
mod gather;
mod pool;
mod send;
mod talk;

pub use channel::Channel;
pub use connection::Link;
pub use gather::{Gather, GatheredError};
pub use pool::Channels;
