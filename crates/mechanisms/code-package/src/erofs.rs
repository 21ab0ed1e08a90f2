//! A writer of EROFS images: uncompressed, without extended attributes, owned
//! by root, dated 1970, so that equal trees give equal bytes.
//!
//! ```text
//! block 0        superblock at byte 1024
//! block 1 …      contents of files, each from a block of its own
//!                link targets and directories, likewise
//! meta_blkaddr … inodes, 32 bytes each; inode number n is the n-th slot
//! ```
//!
//! Metadata comes last because a file's length is known only once it is
//! decompressed. Contents start on blocks so that equal files make equal
//! blocks in every image. Format: Linux `fs/erofs/erofs_fs.h`.

use crate::tree::{Directory, Node};
use std::io::{self, Seek, SeekFrom, Write};

const BLOCK_BYTES: usize = 4096;
const BLOCK_BITS: u8 = 12;
const SUPERBLOCK_OFFSET: u64 = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
const INODE_BYTES: usize = 32;
const DIRENT_BYTES: usize = 12;
/// Slot 0 stays empty: programs take inode number 0 for a deleted entry.
const ROOT_INODE: u32 = 1;
/// Fixed, as everything in the image is.
const UUID: [u8; 16] = *b"hearth-code-1\0\0\0";

/// File types, as inode mode bits and as directory entries have them.
const DIRECTORY: Kind = Kind { mode: 0o040_000, dirent: 2 };
const FILE: Kind = Kind { mode: 0o100_000, dirent: 1 };
const LINK: Kind = Kind { mode: 0o120_000, dirent: 7 };
const LINK_MODE: u16 = 0o777;

#[derive(Clone, Copy)]
struct Kind {
    mode: u16,
    dirent: u8,
}

/// Where a content lies in the image.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    first_block: u32,
    bytes: u32,
}

/// An image whose contents are being written.
pub(crate) struct ImageWriter<W> {
    out: W,
    next_block: u32,
}

struct Inode {
    kind: Kind,
    mode: u16,
    links: u16,
    content: Extent,
}

impl<W: Write + Seek> ImageWriter<W> {
    /// Leaves room for the superblock.
    pub(crate) fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(&[0; BLOCK_BYTES])?;
        Ok(Self { out, next_block: 1 })
    }

    /// Appends what `write` writes, which is as many bytes as it returns.
    pub(crate) fn append<E: From<ImageError>>(
        &mut self,
        write: impl FnOnce(&mut W) -> Result<u64, E>,
    ) -> Result<Extent, E> {
        let bytes = write(&mut self.out)?;
        self.pad(bytes).map_err(|e| ImageError(e).into())
    }

    fn pad(&mut self, bytes: u64) -> io::Result<Extent> {
        let too_large = |_| io::Error::other("an image file is over 4 GiB");
        let bytes = u32::try_from(bytes).map_err(too_large)?;
        let extent = Extent { first_block: self.next_block, bytes };
        let tail = bytes as usize % BLOCK_BYTES;
        if tail != 0 {
            self.out.write_all(&[0; BLOCK_BYTES][tail..])?;
        }
        self.next_block += bytes.div_ceil(BLOCK_BYTES as u32);
        Ok(extent)
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> io::Result<Extent> {
        self.out.write_all(bytes)?;
        self.pad(bytes.len() as u64)
    }

    /// Writes links, directories, inodes and the superblock. `content` tells
    /// where the file of an entry was appended. Returns the image's size.
    pub(crate) fn finish(
        mut self,
        root: &Directory,
        content: impl Fn(usize) -> Extent,
    ) -> io::Result<(W, u64)> {
        let mut inodes = Vec::new();
        self.add_directory(root, ROOT_INODE, &content, &mut inodes)?;
        let meta_block = self.next_block;
        let mut table = vec![0; INODE_BYTES];
        for (number, inode) in (ROOT_INODE..).zip(inodes.iter().flatten()) {
            inode.encode(number, &mut table);
        }
        self.append_bytes(&table)?;
        let superblock = superblock(meta_block, self.next_block, inodes.len() as u64);
        self.out.seek(SeekFrom::Start(SUPERBLOCK_OFFSET))?;
        self.out.write_all(&superblock)?;
        Ok((self.out, u64::from(self.next_block) * BLOCK_BYTES as u64))
    }

    /// Adds `directory`, whose parent is inode `parent`; its inode number.
    fn add_directory(
        &mut self,
        directory: &Directory,
        parent: u32,
        content: &impl Fn(usize) -> Extent,
        inodes: &mut Vec<Option<Inode>>,
    ) -> io::Result<u32> {
        let number = reserve(inodes);
        let mut entries = vec![(".", number, DIRECTORY), ("..", parent, DIRECTORY)];
        let mut links = 2;
        for (name, node) in &directory.children {
            let (child, kind) = match node {
                Node::Directory(child) => {
                    links += 1;
                    (self.add_directory(child, number, content, inodes)?, DIRECTORY)
                }
                Node::File { mode, entry } => {
                    let content = content(*entry);
                    (add(inodes, Inode { kind: FILE, mode: *mode, links: 1, content }), FILE)
                }
                Node::Link { target } => {
                    let content = self.append_bytes(target.as_bytes())?;
                    (add(inodes, Inode { kind: LINK, mode: LINK_MODE, links: 1, content }), LINK)
                }
            };
            entries.push((name, child, kind));
        }
        // The kernel searches by halves, so `.` and `..` stand where they sort.
        entries.sort_unstable_by_key(|(name, ..)| name.as_bytes());
        let content = self.append_bytes(&directory_blocks(&entries))?;
        let inode = Inode { kind: DIRECTORY, mode: directory.mode, links, content };
        inodes[(number - ROOT_INODE) as usize] = Some(inode);
        Ok(number)
    }
}

fn reserve(inodes: &mut Vec<Option<Inode>>) -> u32 {
    inodes.push(None);
    ROOT_INODE + inodes.len() as u32 - 1
}

fn add(inodes: &mut Vec<Option<Inode>>, inode: Inode) -> u32 {
    inodes.push(Some(inode));
    ROOT_INODE + inodes.len() as u32 - 1
}

impl Inode {
    /// The compact form; modification times are the superblock's.
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        const COMPACT_PLAIN: u16 = 0;
        out.extend_from_slice(&COMPACT_PLAIN.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes()); // extended attributes
        out.extend_from_slice(&(self.kind.mode | self.mode).to_le_bytes());
        out.extend_from_slice(&self.links.to_le_bytes());
        out.extend_from_slice(&self.content.bytes.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&self.content.first_block.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&[0; 8]); // uid, gid, reserved
    }
}

/// Directory blocks: in each, entries (inode, offset of name, type), then the
/// names back to back. The first entry's offset tells how many there are.
fn directory_blocks(entries: &[(&str, u32, Kind)]) -> Vec<u8> {
    let mut blocks = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        blocks.resize(blocks.len().next_multiple_of(BLOCK_BYTES), 0);
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(name, ..)| {
            bytes += DIRENT_BYTES + name.len();
            bytes <= BLOCK_BYTES
        });
        let (block, after) = rest.split_at(fits.count());
        let mut name_offset = block.len() * DIRENT_BYTES;
        for (name, number, kind) in block {
            blocks.extend_from_slice(&u64::from(*number).to_le_bytes());
            blocks.extend_from_slice(&(name_offset as u16).to_le_bytes());
            blocks.extend_from_slice(&[kind.dirent, 0]);
            name_offset += name.len();
        }
        for (name, ..) in block {
            blocks.extend_from_slice(name.as_bytes());
        }
        rest = after;
    }
    blocks
}

fn superblock(meta_block: u32, blocks: u32, inodes: u64) -> [u8; 128] {
    let mut sb = [0; 128];
    let mut put = |offset: usize, bytes: &[u8]| {
        sb[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &MAGIC.to_le_bytes());
    put(12, &[BLOCK_BITS]);
    put(14, &(ROOT_INODE as u16).to_le_bytes());
    put(16, &inodes.to_le_bytes());
    put(36, &blocks.to_le_bytes());
    put(40, &meta_block.to_le_bytes());
    put(48, &UUID);
    sb
}

/// Writing the image failed.
pub(crate) struct ImageError(pub(crate) io::Error);

impl From<ImageError> for crate::error::PackageError {
    fn from(error: ImageError) -> Self {
        Self::Io(error.0)
    }
}
