//! The host's programs that building images needs, checked all at once so that
//! one command can install what is missing.

use std::path::{Path, PathBuf};

/// A host program and the Debian package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The program.
    pub program: &'static str,
    /// Its package.
    pub package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// Everything that is run.
pub const TOOLS: [Tool; 6] = [
    tool("apt-get", "apt"),
    tool("dpkg-deb", "dpkg"),
    tool("mkfs.erofs", "erofs-utils"),
    tool("mkfs.ext4", "e2fsprogs"),
    tool("tar", "tar"),
    tool("unshare", "util-linux"),
];

/// Directories that are searched besides `PATH`: an unprivileged user's path
/// has no `sbin`.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The tools that this host lacks.
pub fn missing() -> Vec<Tool> {
    TOOLS.into_iter().filter(|t| find(t.program).is_none()).collect()
}

/// Where `program` is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|d| d.join(program));
    let in_system = SYSTEM_DIRECTORIES.iter().map(|d| Path::new(d).join(program));
    in_path.chain(in_system).find(|p| p.is_file())
}

/// `a is missing: apt-get install b`, for any number of them.
pub(crate) fn advice(missing: &[Tool]) -> String {
    let programs: Vec<_> = missing.iter().map(|t| t.program).collect();
    let packages: Vec<_> = missing.iter().map(|t| t.package).collect();
    format!("{} missing: apt-get install {}", programs.join(", "), packages.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_every_package_at_once() {
        let text = advice(&[tool("x", "px"), tool("y", "py")]);
        assert_eq!(text, "x, y missing: apt-get install px py");
        assert_eq!(find("no-such-program-here"), None);
        assert!(find("sh").is_some());
    }
}
