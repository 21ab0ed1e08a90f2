//! Makes EROFS images of trees: uncompressed, so that equal pages stay equal
//! and reading costs an emulated guest no decompression, and with nothing of
//! the moment or the machine in them.

use crate::command::{self, ToolError, run};
use crate::tools::MKFS_EROFS;
use std::path::Path;

/// All images have it; it must only not be random.
const UUID: &str = "68656172-7468-4000-8000-000000000000";

/// Packs `tree` into the new file `image`.
pub(crate) fn pack(tree: &Path, image: &Path) -> Result<(), ToolError> {
    let mut mkfs = command::of(MKFS_EROFS)?;
    mkfs.args(["-T0", "-x-1", "--all-root", "-Eforce-inode-compact"]).arg(format!("-U{UUID}"));
    run(mkfs.arg(image).arg(tree)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_same_tree_gives_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut images = Vec::new();
        // Made in opposite orders and at other times, as two builds would be.
        let names = ["zeta", "alpha", "mid", "q1", "q2"];
        for (n, order) in [names.to_vec(), names.iter().rev().copied().collect()].iter().enumerate()
        {
            let tree = dir.path().join(format!("tree{n}"));
            for name in order {
                let at = tree.join("d").join(name);
                fs::create_dir_all(&at).unwrap();
                fs::write(at.join("file"), name.repeat(3000)).unwrap();
                std::os::unix::fs::symlink(name, tree.join(name)).unwrap();
            }
            let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 + n as u64);
            let file = fs::File::options().write(true).open(tree.join("d/mid/file")).unwrap();
            file.set_modified(old).unwrap();
            let image = dir.path().join(format!("image{n}"));
            pack(&tree, &image).unwrap();
            images.push(fs::read(image).unwrap());
        }
        assert!(images[0] == images[1], "the images differ");
    }
}
