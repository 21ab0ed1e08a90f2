//! The two things that can be done with a package: check it, and make its image.

use crate::archive::Archive;
use crate::erofs::{Extent, ImageWriter};
use crate::error::PackageError;
use crate::tree::{Directory, Node};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const WRITE_BUFFER_BYTES: usize = 256 * 1024;

/// Operations on a zip archive as uploaded. Both block: on the CPU for the
/// time of decompressing, `build_image` on the disk too.
#[derive(Debug)]
pub enum Package {}

/// A package that is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Bytes of all its contents.
    pub unzipped_bytes: u64,
}

/// An image that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Size of the image file; a multiple of its block, 4096.
    pub image_bytes: u64,
    /// Bytes of the package's contents.
    pub unzipped_bytes: u64,
}

impl Package {
    /// Judges `zip` completely, decompressing all of it, and keeps nothing.
    pub fn check(zip: &[u8]) -> Result<Checked, PackageError> {
        let (mut archive, tree) = Archive::open(zip)?;
        each_file(&tree, &mut |entry| archive.copy_file(entry, &mut io::sink()).map(drop))?;
        Ok(Checked { unzipped_bytes: archive.bytes_read() })
    }

    /// Judges `zip` and writes its image to the new file `out`. On an error
    /// there is no such file. The image is not synced.
    pub fn build_image(zip: &[u8], out: &Path) -> Result<Image, PackageError> {
        let (archive, tree) = Archive::open(zip)?;
        let file = File::create_new(out).map_err(PackageError::Io)?;
        let built = write_image(archive, &tree, file);
        if built.is_err()
            && let Err(error) = std::fs::remove_file(out)
        {
            return Err(PackageError::Io(error));
        }
        built
    }
}

fn write_image(
    mut archive: Archive<'_>,
    tree: &Directory,
    file: File,
) -> Result<Image, PackageError> {
    let out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
    let mut image = ImageWriter::begin(out).map_err(PackageError::Io)?;
    let mut contents: HashMap<usize, Extent> = HashMap::new();
    each_file(tree, &mut |entry| {
        let extent = image.append(|out| archive.copy_file(entry, out))?;
        contents.insert(entry, extent);
        Ok(())
    })?;
    let unzipped_bytes = archive.bytes_read();
    let (mut out, image_bytes) =
        image.finish(tree, |entry| contents[&entry]).map_err(PackageError::Io)?;
    out.flush().map_err(PackageError::Io)?;
    Ok(Image { image_bytes, unzipped_bytes })
}

/// Calls `visit` with the entry of every file, in path order.
fn each_file(
    directory: &Directory,
    visit: &mut impl FnMut(usize) -> Result<(), PackageError>,
) -> Result<(), PackageError> {
    directory.children.values().try_for_each(|node| match node {
        Node::Directory(child) => each_file(child, visit),
        Node::File { entry, .. } => visit(*entry),
        Node::Link { .. } => Ok(()),
    })
}
