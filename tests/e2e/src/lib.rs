//! The harness of the end-to-end tests and of the benchmark beside them: a real
//! `hearth up`, real microVMs, and `aws-sdk-lambda` as the client.
//!
//! ```text
//! tests/*.rs ── suite ──┬── server ──── `hearth up` on a data dir of its own
//!                       │     └── leftovers: what it holds on the host, and that none stays
//!                       └── account ─── SDK client ── function ── answer
//! ```
//!
//! One server serves all cases of a test binary (a cold boot takes seconds
//! where guests are emulated). Cases are told apart by accounts, so none sees
//! another's functions. Nothing sleeps: what takes time is waited for, with a
//! deadline. The SDK's retries are off, for a retry could turn a failure green.
#![forbid(unsafe_code)]

mod account;
mod answer;
mod binary;
mod cli;
mod cluster;
mod code;
mod digests;
mod errors;
mod files;
mod function;
mod leftovers;
mod load;
mod memory;
mod neighbour;
mod node;
mod output;
pub mod outside;
mod page;
mod percentile;
mod scrape;
mod server;
mod small_disk;
mod start;
mod suite;
mod usage;
mod versions;
mod wait;
mod zones;

pub use account::Account;
pub use answer::{Answer, Failure};
pub use binary::hearth;
pub use cluster::{BUCKET, Cluster, ClusterStatus, PREFIX, Places, Plan};
pub use code::{java_function, rust_example, zip_of, zip_of_entries};
pub use digests::digests;
pub use errors::{ErrorSeen, refused};
pub use files::{bytes_in, copy_dir, files_in};
pub use function::{Draft, Function};
pub use leftovers::Leftovers;
pub use load::{Done, Load};
pub use memory::Held;
pub use neighbour::Neighbour;
pub use node::Node;
pub use page::page;
pub use percentile::percentile;
pub use server::{Life, SandboxLine, Server, ServerOptions};
pub use small_disk::SmallDisk;
pub use start::{Start, Started};
pub use suite::{Case, ServerCase, run, run_on};
pub use usage::Usage;
pub use wait::eventually;
pub use zones::{ZONES, Zones, all};
