//! Guest images: kernel, initramfs, OS layer and one layer per runtime, built
//! reproducibly out of Debian packages and pinned wheels, named by content, and
//! kept in a cache.
//!
//! ```text
//!                  ┌─────────────────────┐
//!   /var/task      │ function layer      │  (hearth-code-package)
//!                  ├─────────────────────┤
//!   /var/runtime   │ runtime layer EROFS │─┐ overlayfs
//!                  ├─────────────────────┤ ├─ lowerdir=runtime:os
//!   /              │ OS layer      EROFS │─┘
//!                  ├─────────────────────┤
//!   /init /modules │ initramfs      cpio │
//!                  ├─────────────────────┤
//!                  │ kernel     vmlinux  │
//!                  └─────────────────────┘
//! CACHE/images/SHA256.{vmlinux,cpio,erofs}   content-addressed, immutable
//! CACHE/index-2.json                         recipe key → images
//! CACHE/packages/, CACHE/work/               only while a build runs
//! CACHE/lock                                 one build at a time
//! ```
#![forbid(unsafe_code)]

mod build;
mod cache;
mod command;
mod cpio;
mod digest;
mod elf;
mod erofs;
mod index;
mod initramfs;
mod kernel;
mod keys;
mod layers;
mod modules;
mod packages;
mod progress;
mod recipe;
mod scratch;
mod sources;
mod store;
mod tools;
mod tree;
mod vmlinux;

pub use build::{BuildError, BuildOptions};
pub use cache::{GuestImages, HeldImages, Image, ImageCache, LoadError};
pub use command::ToolError;
pub use digest::Digest;
pub use kernel::KernelError;
pub use layers::LayerError;
pub use modules::ModulesError;
pub use packages::PackagesError;
pub use progress::Progress;
pub use scratch::ScratchError;
pub use tools::TOOLS;
pub use tree::TreeError;
pub use vmlinux::VmlinuxError;
