//! Snapshots at rest: what a captured guest is made of, under one name.
//!
//! ```text
//!  snapshots/ACCOUNT/ID ──┐               ┌─► memory   pages that differ from the parent's
//!  layers/DIGEST ─────────┼─► record ─────┼─► state    registers and devices
//!    (which record)       │  (sealed)     ├─► scratch  what init wrote to /tmp
//!                         │               └─► pack     the working set, in order
//!        names, plain     │ chunk store, sealed under the owner's keys
//! ```
//!
//! A name brings copies of the manifests, and of what record and state consist of, so that
//! to open a snapshot is one trip to the origin. Each copy is checked as the original is.
//!
//! A name is written last and in one step: a crash leaves files that nothing names,
//! which [`SnapshotStore::collect`] removes. All else is the chunk store's.
//!
//! What is open is not deleted, which counts for one process, and for those of a cluster
//! that report it. One that reads what another collects (as a page server does) is told by
//! that other what to read, which holds a [`Stored`] as long as it may.
#![forbid(unsafe_code)]

mod collect;
mod damage;
mod name;
mod pack;
mod record;
mod report;
mod source;
mod store;
mod unused;

pub use collect::CollectError;
pub use name::{LayerName, Name};
pub use pack::{Packed, WorkingSetOf};
pub use record::{About, Record};
pub use report::{Cell, Holds, PageMap, Parts, Summary, WorkingSetParts};
pub use source::{ChunkSources, Reference};
pub use store::{Captured, OpenError, SaveError, SnapshotStore, Stored};
pub use unused::LAYER_UNUSED_MAX;
