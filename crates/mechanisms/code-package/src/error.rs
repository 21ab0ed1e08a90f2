//! Why a package is refused, in AWS's words for the user and in ours for the log.

use hearth_types::{CODE_UNZIPPED_BYTES_MAX, CODE_ZIP_BYTES_MAX};
use std::io;

/// The package cannot be used. `Display` is text for the user.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Not a zip archive, a damaged one, or one that tries something.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again.")]
    Refused(#[source] Refusal),
    /// The archive holds nothing.
    #[error("Uploaded file must be a non-empty zip")]
    Empty,
    /// The archive itself is too large.
    #[error("Zipped size must be smaller than {CODE_ZIP_BYTES_MAX} bytes")]
    ZipTooLarge,
    /// Its contents are.
    #[error("Unzipped size must be smaller than {CODE_UNZIPPED_BYTES_MAX} bytes")]
    UnzippedTooLarge,
    /// The image could not be written; not the package's fault.
    #[error("the code image could not be written")]
    Io(#[source] io::Error),
}

impl PackageError {
    /// Whether the fault is the package's rather than ours.
    pub fn is_users(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

/// What exactly is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The zip structures do not parse, or a content's checksum is wrong.
    #[error("not a readable zip archive")]
    Zip(#[source] zip::result::ZipError),
    /// The same, found while decompressing.
    #[error("an entry does not decompress")]
    Content(#[source] io::Error),
    /// Over one of the bounds of this crate.
    #[error("too many entries")]
    TooManyEntries,
    /// Two entries share bytes of the archive.
    #[error("entries overlap")]
    Overlapping,
    /// Two entries have one path, or one's directory is the other's file.
    #[error("two entries claim the path {0:?}")]
    Duplicate(String),
    /// The path is absolute, leaves the package, or is too long or deep.
    #[error("illegal path {0:?}")]
    IllegalPath(String),
    /// A link that could point out of the package.
    #[error("link {0:?} leads out of the package")]
    EscapingLink(String),
    /// A device, socket or pipe.
    #[error("{0:?} is neither file, directory nor link")]
    SpecialFile(String),
    /// A password would be needed.
    #[error("{0:?} is encrypted")]
    Encrypted(String),
}

impl From<Refusal> for PackageError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
