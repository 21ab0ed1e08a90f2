//! The agent without its virtual machine: a session over a socket pair, its
//! Runtime API on a loopback port, real processes as runtimes.

mod harness;
mod line;
mod processes;
mod runtime_api;
mod snapshots;
