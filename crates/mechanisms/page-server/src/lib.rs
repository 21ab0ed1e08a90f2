//! On-demand loading of guests' memory and disks, page by page.
//!
//! ```text
//!   worker process                    │  page server's process
//!                                     │
//!   PageServer ──── orders, answers ──┼──► server ──► PagedFile ──► Source
//!     CloneFile                       │                core │        (a file, a store)
//!        │ path                       │     fuse ◄──────────┘
//!        ▼                            │      ▲  │ pages pushed ahead
//!   VMM process: open, mmap ── kernel ┼──────┘  ▼
//!                                     │     the kernel's cache of that file
//! ```
//!
//! A process of its own, because one that waits for its own mount can hang
//! where no signal reaches it. When it dies, whoever reads gets an error at
//! once, and its client is told ([`PageServer::died`]).
//!
//! A file can be made, opened and mapped before anybody knows what is in it; it
//! is bound to its [`Source`] later. Then the pages that earlier clones touched
//! ([`WorkingSet`]) are pushed into the kernel's cache, before they are asked for.
//!
//! For a VMM that restores through userfaultfd, the same is done with its faults
//! ([`CloneFile::serve_faults`]).

mod client;
mod core;
mod faults;
mod files;
mod fuse;
mod layout;
mod local_file;
mod overlay;
mod pack;
mod page;
mod paged_file;
mod server;
mod source;
mod spec;
mod stats;
mod wire;
mod working_set;

pub use client::{CloneFile, Death, PageServer, PageServerError, StartError, StartOptions};
pub use faults::FaultRegion;
pub use local_file::{LocalFile, LocalFiles};
pub use pack::{Packed, pack};
pub use page::{FILE_BYTES_MAX, PAGE_BYTES, PageNo};
pub use server::{ServeError, runtime, serve};
pub use source::{SOURCE_REF_BYTES_MAX, Source, SourceRef, Sources};
pub use spec::{Access, CloneId, FileSpec, Waits};
pub use stats::{FileStats, PrefetchReport};
pub use wire::{Prefetch, Refusal};
pub use working_set::{
    AccessLog, RECORDINGS_MAX, WORKING_SET_PAGES_MAX, WorkingSet, WorkingSetError,
};
