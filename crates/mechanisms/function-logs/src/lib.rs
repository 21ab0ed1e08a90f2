//! Logs of functions: one per function, on disk, bounded.
//!
//! ```text
//! append ─► buffer of the log ─► writer thread ─► newest segment ┄► oldest dropped
//!           full: drop, count     one write per      8 MiB             at two
//!                                 batch
//! read ◄── whole lines from an absolute position ◄── segments
//! ```
//!
//! - Appending never waits for the disk. A function that logs faster than the
//!   disk takes it loses lines, and the log says how many bytes.
//! - A position counts bytes since the log began, so it stays valid when
//!   segments are dropped and when Hearth restarts.
//! - A log outlives its function, until it is old or its account has too much
//!   (`prune`).
//! - Logs are written some milliseconds after the append and not synced: all but
//!   the last lines survive a crash of Hearth, and one of the machine
//!   as far as the kernel wrote them back.
#![forbid(unsafe_code)]

mod buffer;
mod prune;
mod reader;
mod segments;
mod store;
mod writer;

pub use prune::{ACCOUNT_BYTES_MAX, KEPT};
pub use segments::{SEGMENT_BYTES_MAX, SEGMENTS_MAX};
pub use store::LogStore;
pub use writer::LogWriter;
