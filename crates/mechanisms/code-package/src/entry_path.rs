//! Paths of entries and targets of links: the only place that decides what a
//! name in an archive may be.

use crate::bounds::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};

/// The components of a legal entry path, from the package's root. `None` if
/// the path is absolute, contains `..`, a backslash or a NUL, or is too long
/// or too deep. `.` and empty components mean nothing and are left out; the
/// root itself has no components.
pub(crate) fn components(path: &str) -> Option<Vec<&str>> {
    if path.starts_with('/') || path.len() > PATH_BYTES_MAX {
        return None;
    }
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => continue,
            ".." => return None,
            _ if !is_legal_name(component) => return None,
            _ => components.push(component),
        }
    }
    (components.len() <= DEPTH_MAX).then_some(components)
}

/// Whether a link at `depth` directories below the root may point to `target`.
///
/// Legal are `..` steps, no more than lead to the root, followed by plain
/// names. Entries never lie behind links, so the `..` steps climb real
/// directories; the names descend, and a link among them is legal itself.
/// Hence no chain of links leaves the package.
pub(crate) fn link_stays_inside(depth: usize, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.len() > PATH_BYTES_MAX {
        return false;
    }
    let mut climbed = 0;
    let mut descending = false;
    for component in target.split('/') {
        match component {
            "" | "." => continue,
            ".." if descending => return false,
            ".." => climbed += 1,
            _ if !is_legal_name(component) => return false,
            _ => descending = true,
        }
    }
    climbed <= depth
}

fn is_legal_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && !name.contains(['\0', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_split() {
        assert_eq!(components("a/b.py").unwrap(), ["a", "b.py"]);
        assert_eq!(components("./a//b/").unwrap(), ["a", "b"]);
        assert_eq!(components("..a/b..").unwrap(), ["..a", "b.."]);
        assert!(components("./").unwrap().is_empty());
    }

    #[test]
    fn tricks_are_refused() {
        let long_name = "n".repeat(NAME_BYTES_MAX + 1);
        let long_path = "n/".repeat(PATH_BYTES_MAX);
        let deep = "n/".repeat(DEPTH_MAX + 1);
        let tricks = ["/a", "../a", "a/../b", "a/..", "..", "a\\b", "..\\a", "C:\\a", "a\0b"];
        for bad in tricks.into_iter().chain([&*long_name, &*long_path, &*deep]) {
            assert!(components(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn links_stay_inside() {
        for (depth, good) in [(0, "a"), (0, "./a/b"), (1, "../a"), (2, "../../a"), (3, "..")] {
            assert!(link_stays_inside(depth, good), "{good:?}");
        }
        for (depth, bad) in
            [(0, ".."), (0, "/a"), (1, "../../a"), (5, "a/../b"), (0, ""), (0, "a\\b")]
        {
            assert!(!link_stays_inside(depth, bad), "{bad:?}");
        }
    }
}
