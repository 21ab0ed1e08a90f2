//! The host's programs that building images needs, checked all at once so that
//! one command can install what is missing.

use hearth_programs::{Missing, Program};

pub(crate) const APT_GET: Program = Program::new("apt-get", "apt");
pub(crate) const CP: Program = Program::new("cp", "coreutils");
pub(crate) const DEBUGFS: Program = Program::new("debugfs", "e2fsprogs");
pub(crate) const DPKG_DEB: Program = Program::new("dpkg-deb", "dpkg");
pub(crate) const MKFS_EROFS: Program = Program::new("mkfs.erofs", "erofs-utils");
pub(crate) const MKFS_EXT4: Program = Program::new("mkfs.ext4", "e2fsprogs");
pub(crate) const TAR: Program = Program::new("tar", "tar");
pub(crate) const UNSHARE: Program = Program::new("unshare", "util-linux");

/// Everything that is run.
pub const TOOLS: [Program; 8] =
    [APT_GET, CP, DEBUGFS, DPKG_DEB, MKFS_EROFS, MKFS_EXT4, TAR, UNSHARE];

/// The tools that this host lacks.
pub(crate) fn missing() -> Vec<Missing> {
    TOOLS.into_iter().filter_map(|tool| tool.find().err()).collect()
}

/// `a is not installed (…); b is not installed (…)`, for any number of them.
pub(crate) fn advice(missing: &[Missing]) -> String {
    missing.iter().map(Missing::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_every_package_at_once() {
        let absent = |name, package| Program::new(name, package).find().unwrap_err();
        let text = advice(&[absent("no-such-x", "px"), absent("no-such-y", "py")]);
        assert!(text.contains("apt-get install px") && text.contains("apt-get install py"));
    }
}
