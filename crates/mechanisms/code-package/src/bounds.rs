//! The bounds of a package beyond AWS's quotas (`hearth_types::limits`).

/// Most files, directories and links in a package. Fits the image format's
/// 16-bit link counts, and is several times the files of a large `node_modules`.
pub const NODES_MAX: usize = 60_000;
/// Most central directory headers in the archive's bytes, wherever they stand:
/// bounds the memory of parsing before anything is parsed. Archives within
/// the package may have some of their own.
pub(crate) const CENTRAL_HEADERS_MAX: usize = 200_000;
/// Longest path within the package: `PATH_MAX` less the mount point's share.
pub const PATH_BYTES_MAX: usize = 3072;
/// Longest component of a path: Linux's `NAME_MAX`.
pub const NAME_BYTES_MAX: usize = 255;
/// Deepest directory; bounds recursion over the tree.
pub const DEPTH_MAX: usize = 64;
