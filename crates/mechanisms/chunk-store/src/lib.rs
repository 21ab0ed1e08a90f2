//! The chunk store: files as sealed chunks, kept once, read from the nearest level.
//!
//! ```text
//!  write ─► cut, seal ───────────────────────────► origin (object store)
//!                                                    │ ▲ verified, healed
//!  read ◄── memory (opened) ◄── disk (sealed) ◄──────┘ │
//!           └────────────── L1 ─────────────┘     collect: by generations of roots
//! ```
//!
//! | to | use |
//! |---|---|
//! | keep a file, a child of a file, a working set | [`ChunkStore::write`], [`ChunkStore::write_layer`], [`ChunkStore::write_pack`] |
//! | read one | [`ChunkStore::open`], then [`StoredFile`] |
//! | open one that came along with something | [`ChunkStore::open_with`], [`AtHand`] |
//! | give space back | [`ChunkStore::collect`]; in a cluster [`ChunkStore::report_use`], [`ChunkStore::collect_among`] |
//! | look for damage | [`ChunkStore::verify`] |
//! | know whether a file that failed is damaged | [`ChunkStore::damage`] |
//! | keep keys, one server's or a cluster's | [`Keyring`], under a [`MasterKey`] |
//!
//! At rest everything is sealed. A chunk is used only after its hash was checked,
//! whichever level it came from; damage is reported, fetched again from the next
//! level, and healed; what is bad at the origin is noted there, so that whoever stores
//! the same again does store it. Memory holds chunks opened: it is a worker's own, where
//! plaintext may be, and one chunk answers up to 128 page faults, each of which
//! would otherwise decrypt all of it.
#![forbid(unsafe_code)]

mod among;
mod at_hand;
mod blocking;
mod bounds;
mod collect;
mod disk;
mod doomed;
mod durable;
mod fetch;
mod file;
mod generation;
mod guards;
mod in_use;
mod keyring;
mod mark;
mod master_key;
mod mend;
mod metrics;
mod object;
mod options;
mod origin;
mod own_chunks;
mod record;
mod source;
mod stopwatch;
mod store;
mod stream;
mod suspects;
mod sweep;
mod unchanged;
mod verify;
mod write;
mod write_layer;
mod write_pack;

pub use among::Users;
pub use at_hand::AtHand;
pub use collect::{CollectError, Collected};
pub use fetch::ReadError;
pub use file::{ChunkStats, Fetched, OpenError, Run, StoredFile, Tally};
pub use guards::Hold;
pub use hearth_chunk_format::{
    ChunkName, Extent, InvalidHash, InvalidOwner, Kind, LayerId, ManifestError, ManifestId, Origin,
    Owner, PAGE_BYTES,
};
pub use keyring::{Keyring, KeyringError};
pub use master_key::{LocalMasterKey, MASTER_KEY_FILE, MasterKey, MasterKeyError};
pub use metrics::register_metrics;
pub use object::{Level, Object};
pub use options::{DiskOptions, Options};
pub use origin::Unreached;
pub use source::Source;
pub use store::ChunkStore;
pub use suspects::Suspects;
pub use unchanged::put_unchanged;
pub use verify::{Damage, Report};
pub use write::{WriteError, Written};
