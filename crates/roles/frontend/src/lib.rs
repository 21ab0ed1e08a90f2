//! The front end: Hearth's public face, the AWS Lambda API over HTTP/1.1.
//!
//! It authenticates every request (SigV4), validates it, and either asks
//! control to change something or runs an invocation: a sandbox from
//! assignment, the event to the worker that holds it, the answer back. It keeps
//! no state but a cache of access keys and function versions that a watch on
//! the metadata store keeps true, so a warm invoke touches no store.
//!
//! ```text
//! server ─ connection ─ service ─┬─ auth    who is it?            (cache: access-key/)
//!   accept, limits      one      ├─ upload  its body, bounded       (payloads: fair shares)
//!                       request  └─ ops/*   one file per operation (cache: version/)
//! ```
//!
//! A call that has begun is finished even if its client goes away: it runs in a
//! task of its own, which shutdown waits for.
#![forbid(unsafe_code)]

mod auth;
mod cache;
mod call;
mod config;
mod connection;
mod failure;
mod fair_share;
mod idle;
mod lease;
mod metrics;
mod ops;
mod options;
mod payloads;
mod pieces;
mod reply;
mod server;
mod service;
mod upload;
mod work;
mod write_timeout;

pub use metrics::register_metrics;
pub use options::FrontendOptions;
pub use server::{Frontend, ServeError};

use hearth_services::{
    assignment::Assignment, control::Control, logs::Logs, metastore::MetaStore,
    worker::WorkerDirectory,
};
use std::sync::Arc;

/// What a front end calls on.
#[derive(Clone)]
pub struct FrontendDeps {
    /// Whether a balancer should send calls here, for `GET /hearth/v1/ready`.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Where access keys and versions are read and watched.
    pub metastore: Arc<dyn MetaStore>,
    /// Makes and changes functions.
    pub control: Arc<dyn Control>,
    /// Hands out sandboxes.
    pub assignment: Arc<dyn Assignment>,
    /// Finds the worker that runs one.
    pub workers: Arc<dyn WorkerDirectory>,
    /// Reads functions' logs.
    pub logs: Arc<dyn Logs>,
    /// Holds the code that `GetFunction` links to.
    pub code: hearth_chunk_store::ChunkStore,
}
