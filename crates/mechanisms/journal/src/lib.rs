//! The journal of a partition: what must not be lost, in order, by one writer at a time.
//!
//! ```text
//!             ┌─ epoch N ──────────┐┌─ epoch N+1 ───
//!  entries    1   2   3   4   5   6   7   8   …        each a group of records, committed at once
//!             └─ checkpoint ─┘                         the state after 4: entries up to it go
//! ```
//!
//! It is made of nothing but the metadata store's transactions. Each begins with the
//! condition that the writer's epoch is the partition's still, so one that was deposed,
//! hung or cut off, and knows nothing of it, can write no more. A [`Reader`] follows the
//! journal; it becomes the [`Writer`] by beginning the next epoch, after which it has read
//! all that was and will ever be written before.
//!
//! What records mean is not known here.
#![forbid(unsafe_code)]

mod backlog;
mod checkpoint;
mod entry;
mod epoch;
mod error;
mod keys;
mod reader;
mod record;
mod writer;

pub use backlog::BACKLOG_BYTES_MAX;
pub use checkpoint::STATE_BYTES_MAX;
pub use entry::{Entry, RECORD_BYTES_MAX};
pub use error::{AppendError, JournalError};
pub use hearth_types::Partition;
pub use reader::{Item, Reader};
pub use writer::Writer;

/// The place of an entry; the first is 1. Without gaps.
pub type Seq = u64;
/// The reign of one writer; the first is 1.
pub type Epoch = u64;
