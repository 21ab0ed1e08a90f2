//! Sizes: of a page, of a chunk, and the most that a file or manifest may be.

/// A page: what memory is made of and what layers differ by.
pub const PAGE_BYTES: usize = 4096;

/// Most pages in one chunk.
pub const CHUNK_PAGES: usize = 128;

/// Most plaintext in one chunk: large enough that a restore reads few, small
/// enough that one fault does not drag in much.
pub const CHUNK_BYTES: usize = CHUNK_PAGES * PAGE_BYTES;

/// What sealing adds to a chunk: the tag.
pub const SEALED_EXTRA_BYTES: usize = 16;

/// Largest file: a function's memory and an image are at most 10 GiB each.
pub const FILE_BYTES_MAX: u64 = 16 << 30;

/// Largest sealed manifest: room for the largest file in which no two pages lie
/// next to each other (4 Mi extents of ten bytes), and its chunks.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;

/// Pages that a file of that size fills, the last perhaps in part.
pub fn pages_of(size: u64) -> u32 {
    // A file over the bound is refused before this matters.
    size.div_ceil(PAGE_BYTES as u64).try_into().unwrap_or(u32::MAX)
}
