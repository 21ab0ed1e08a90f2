//! The zip archive: its entries turned into a [`tree`](crate::tree), and the
//! contents of its files, counted as they decompress.

use crate::bounds::{CENTRAL_HEADERS_MAX, PATH_BYTES_MAX};
use crate::entry_path::{components, link_stays_inside};
use crate::error::{PackageError, Refusal};
use crate::tree::{Builder, Directory, Node};
use hearth_types::{CODE_UNZIPPED_BYTES_MAX, CODE_ZIP_BYTES_MAX};
use std::io::{self, Cursor, Read, Write};
use zip::ZipArchive;
use zip::result::ZipError;

const CENTRAL_HEADER_MAGIC: &[u8] = b"PK\x01\x02";
const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;
/// Set-id and sticky bits are not kept: the guest's user is never changed.
const PERMISSION_MASK: u32 = 0o777;
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;
const COPY_BYTES: usize = 64 * 1024;

/// An archive whose entries are all legal.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// How much more its contents may hold.
    bytes_left: u64,
}

impl<'a> Archive<'a> {
    /// Parses and judges everything but the contents of files.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<(Self, Directory), PackageError> {
        if bytes.is_empty() {
            return Err(PackageError::Empty);
        }
        if bytes.len() > CODE_ZIP_BYTES_MAX {
            return Err(PackageError::ZipTooLarge);
        }
        if central_headers(bytes) > CENTRAL_HEADERS_MAX {
            return Err(Refusal::TooManyEntries.into());
        }
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(Refusal::Zip)?;
        if zip.is_empty() {
            return Err(PackageError::Empty);
        }
        if zip.has_duplicate_names() {
            return Err(Refusal::Duplicate("(raw name)".to_owned()).into());
        }
        if zip.has_overlapping_entries().map_err(Refusal::Zip)? {
            return Err(Refusal::Overlapping.into());
        }
        let mut archive = Self { zip, bytes_left: CODE_UNZIPPED_BYTES_MAX };
        let tree = archive.read_tree()?;
        Ok((archive, tree))
    }

    fn read_tree(&mut self) -> Result<Directory, PackageError> {
        let mut tree = Builder::new();
        for index in 0..self.zip.len() {
            let entry = self.zip.by_index_raw(index).map_err(Refusal::Zip)?;
            let path = entry.name().map_err(Refusal::Zip)?.into_owned();
            if entry.encrypted() {
                return Err(Refusal::Encrypted(path).into());
            }
            // Archives made on systems without Unix modes have none.
            let mode = match entry.external_attributes() >> 16 {
                mode if mode != 0 && entry.system() == zip::System::Unix => mode,
                _ => 0,
            };
            drop(entry);
            let kind = match mode & TYPE_MASK {
                0 if path.ends_with('/') => TYPE_DIRECTORY,
                0 => TYPE_FILE,
                kind => kind,
            };
            let permissions =
                |default| (if mode == 0 { default } else { mode & PERMISSION_MASK }) as u16;
            let components = components(&path).ok_or_else(|| Refusal::IllegalPath(path.clone()))?;
            let node = match kind {
                TYPE_DIRECTORY => {
                    Node::Directory(Directory::with_mode(permissions(DIRECTORY_MODE)))
                }
                TYPE_FILE if path.ends_with('/') => return Err(Refusal::IllegalPath(path).into()),
                TYPE_FILE => Node::File { mode: permissions(FILE_MODE), entry: index },
                TYPE_LINK => {
                    let target = self.link_target(index)?;
                    let depth = components.len().saturating_sub(1);
                    if !target.as_deref().is_some_and(|t| link_stays_inside(depth, t)) {
                        return Err(Refusal::EscapingLink(path).into());
                    }
                    Node::Link { target: target.unwrap_or_default() }
                }
                _ => return Err(Refusal::SpecialFile(path).into()),
            };
            tree.add(&components, node)?;
        }
        Ok(tree.finish())
    }

    /// The content of a link's entry, or `None` if it cannot be a target.
    fn link_target(&mut self, index: usize) -> Result<Option<String>, PackageError> {
        let mut target = Vec::new();
        let limit = PATH_BYTES_MAX as u64 + 1;
        let content = self.zip.by_index(index).map_err(Refusal::Zip)?;
        content.take(limit).read_to_end(&mut target).map_err(Refusal::Content)?;
        self.bytes_left = self
            .bytes_left
            .checked_sub(target.len() as u64)
            .ok_or(PackageError::UnzippedTooLarge)?;
        Ok(String::from_utf8(target).ok())
    }

    /// Decompresses the file of entry `index` into `out`; its length. The
    /// headers' sizes are claims, so only what really comes out counts.
    pub(crate) fn copy_file(
        &mut self,
        index: usize,
        out: &mut impl Write,
    ) -> Result<u64, PackageError> {
        let mut content = self.zip.by_index(index).map_err(Refusal::Zip)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut copied = 0;
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => return Ok(copied),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Refusal::Content(error).into()),
            };
            self.bytes_left =
                self.bytes_left.checked_sub(count as u64).ok_or(PackageError::UnzippedTooLarge)?;
            out.write_all(&buffer[..count]).map_err(PackageError::Io)?;
            copied += count as u64;
        }
    }

    /// Bytes of contents read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        CODE_UNZIPPED_BYTES_MAX - self.bytes_left
    }
}

/// An upper bound on the entries that any parser could find.
fn central_headers(bytes: &[u8]) -> usize {
    bytes.windows(CENTRAL_HEADER_MAGIC.len()).filter(|w| *w == CENTRAL_HEADER_MAGIC).count()
}

impl From<ZipError> for Refusal {
    fn from(error: ZipError) -> Self {
        Self::Zip(error)
    }
}
