//! The layer of `provided.al2023`: the package brings the program, so there is
//! nothing in it; it exists so that every guest has the same disks.

use super::LayerError;
use crate::tree::Tree;

/// Makes the tree.
pub(crate) fn build(tree: &Tree) -> Result<(), LayerError> {
    tree.directory("var/runtime")?;
    Ok(tree.normalise(false)?)
}
