//! `hearth-agent`: pid 1 of every guest.
//!
//! Brings a booted kernel to the point where one function can run, serves the
//! Lambda Runtime API to that function's runtime, and relays between it and
//! the worker over one byte stream. Single-threaded: a guest has few
//! processors, and under emulation each wake-up is dear.
//!
//! ```text
//!  worker ══ transport ══ link ══ session ══ runtime_api ── 127.0.0.1:9001 ── runtime
//!                          ║         ║            ║                             │
//!                          ║       guest        answer                        stdout
//!                          ╚════════ logs ◄──────────────────────────────────── │
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "it sets the guest's clock itself, and a panic aborts pid 1: no task can be lost"
)]

mod boot;
mod cgroup;
mod error;
mod guest;
mod jail;
mod link;
mod logs;
mod machine;
mod modules;
mod mounts;
mod network;
mod priority;
mod process;
mod runtime_api;
mod session;
mod transport;
mod unique;
mod virtio_port;
mod watched;

#[cfg(test)]
mod tests;

pub use boot::run;
