//! What client and server say to each other over one Unix socket.
//!
//! ```text
//!  client ── order  (number, Order) ──► server      in any number at once
//!         ◄─ answer (number, Answer) ──
//!  frame: length (4 bytes, little-endian) │ postcard
//! ```
//!
//! A descriptor travels with the first bytes of the order that it belongs to.

mod socket;

pub(crate) use socket::{Receiver, Sender};

use crate::stats::{FileStats, PrefetchReport};
use crate::{AccessLog, CloneId, FaultRegion, FileSpec, PageNo, SourceRef, Waits};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Longest frame: two lists of [`WORKING_SET_PAGES_MAX`](crate::WORKING_SET_PAGES_MAX)
/// pages take half of it.
pub(crate) const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Orders that a server works on at a time.
pub(crate) const ORDERS_MAX: usize = 256;

/// What a server is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first: mount in this directory.
    Start {
        dir: PathBuf,
        waits: Waits,
    },
    Create(FileSpec),
    Bind {
        id: CloneId,
        source: SourceRef,
        prefetch: Option<Prefetch>,
    },
    /// A userfaultfd comes with it.
    ServeFaults {
        id: CloneId,
        regions: Vec<FaultRegion>,
    },
    /// Answered when fetching ahead is over.
    Prefetched(CloneId),
    Stats(CloneId),
    Log(CloneId),
    /// How many files the kernel knows.
    Known,
    /// Remove the file.
    Finish(CloneId),
    Shutdown,
}

/// What came of an order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Created(CloneId),
    Prefetched(Option<PrefetchReport>),
    Stats(FileStats),
    Log(AccessLog),
    Known(u64),
    Refused(Refusal),
}

/// What to fetch ahead when a file is bound: see
/// [`CloneFile::bind`](crate::CloneFile::bind).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefetch {
    /// The pages, one after the other in one file; none if `pages` is empty.
    pub pack: Option<SourceRef>,
    /// Which pages are in the pack, in its order.
    pub pages: Vec<PageNo>,
    /// Pages that are needed and hold nothing but zeros; they are in no pack.
    pub zeros: Vec<PageNo>,
}

/// Why a server did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// It could not start.
    #[error("the page server could not start: {0}")]
    Start(String),
    /// There is no such file.
    #[error("there is no such file, or no longer")]
    NoFile,
    /// There are too many files.
    #[error("the page server serves as many files as it can")]
    TooMany,
    /// The file cannot be made.
    #[error("the file cannot be made: {0}")]
    Create(String),
    /// The source or the pack cannot be opened.
    #[error("the source cannot be opened: {0}")]
    Source(String),
    /// The file cannot be bound.
    #[error("the file cannot be bound: {0}")]
    Bind(String),
    /// The faults cannot be served.
    #[error("the faults cannot be served: {0}")]
    Faults(String),
    /// An order that makes no sense there.
    #[error("the order makes no sense now")]
    Order,
}
