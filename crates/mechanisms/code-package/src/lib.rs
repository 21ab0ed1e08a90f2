//! Code packages: from a zip archive that anybody may have made to a read-only
//! EROFS image that a guest mounts at `/var/task`.
//!
//! ```text
//! zip bytes ─► archive (entries, bounds) ─► tree (paths, types) ─► image
//!                                             │                     ▲
//!                                             └─ contents, counted ─┘
//! ```
//!
//! Nothing is ever extracted onto the host: contents stream from the archive
//! into the image, so a hostile name can at worst be refused. The image is a
//! function of the zip's bytes alone: same zip, same image.
#![forbid(unsafe_code)]

mod archive;
mod bounds;
mod entry_path;
mod erofs;
mod error;
mod package;
mod tree;

pub use bounds::{DEPTH_MAX, NAME_BYTES_MAX, NODES_MAX, PATH_BYTES_MAX};
pub use error::{PackageError, Refusal};
pub use package::{Checked, Image, Package};
