//! The package as a tree: what the image will show, before any content is read.

use crate::bounds::NODES_MAX;
use crate::error::Refusal;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Permission bits of a directory that the archive does not describe.
const DIRECTORY_MODE: u16 = 0o755;

/// A directory and all below it, in name order.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) mode: u16,
    pub(crate) children: BTreeMap<String, Node>,
}

/// What a name in a directory stands for.
#[derive(Debug)]
pub(crate) enum Node {
    Directory(Directory),
    /// A file, and which entry of the archive has its content.
    File {
        mode: u16,
        entry: usize,
    },
    /// A link and its target.
    Link {
        target: String,
    },
}

/// A tree that is being built; counts its nodes.
pub(crate) struct Builder {
    root: Directory,
    nodes: usize,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { root: Directory::empty(), nodes: 1 }
    }

    /// Adds a node at `path`, and the directories above it that are not yet
    /// there. A directory may be described after its children, once.
    pub(crate) fn add(&mut self, path: &[&str], node: Node) -> Result<(), Refusal> {
        let duplicate = || Refusal::Duplicate(path.join("/"));
        let Some((name, parents)) = path.split_last() else {
            return match node {
                Node::Directory(root) => {
                    self.root.mode = root.mode;
                    Ok(())
                }
                _ => Err(duplicate()),
            };
        };
        let mut directory = &mut self.root;
        for parent in parents {
            let child = match directory.children.entry((*parent).to_owned()) {
                Entry::Occupied(child) => child.into_mut(),
                Entry::Vacant(vacant) => {
                    count(&mut self.nodes)?;
                    vacant.insert(Node::Directory(Directory::empty()))
                }
            };
            match child {
                Node::Directory(child) => directory = child,
                _ => return Err(duplicate()),
            }
        }
        match (directory.children.entry((*name).to_owned()), node) {
            (Entry::Vacant(vacant), node) => {
                count(&mut self.nodes)?;
                vacant.insert(node);
                Ok(())
            }
            (Entry::Occupied(mut occupied), Node::Directory(described)) => {
                match occupied.get_mut() {
                    Node::Directory(existing) => {
                        existing.mode = described.mode;
                        Ok(())
                    }
                    _ => Err(duplicate()),
                }
            }
            _ => Err(duplicate()),
        }
    }

    pub(crate) fn finish(self) -> Directory {
        self.root
    }
}

fn count(nodes: &mut usize) -> Result<(), Refusal> {
    *nodes += 1;
    if *nodes > NODES_MAX { Err(Refusal::TooManyEntries) } else { Ok(()) }
}

impl Directory {
    /// A directory that the archive does not describe.
    pub(crate) fn empty() -> Self {
        Self::with_mode(DIRECTORY_MODE)
    }

    pub(crate) fn with_mode(mode: u16) -> Self {
        Self { mode, children: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Node {
        Node::File { mode: 0o644, entry: 0 }
    }

    #[test]
    fn parents_appear_by_themselves_and_may_be_described_later() {
        let mut tree = Builder::new();
        tree.add(&["a", "b", "c"], file()).unwrap();
        tree.add(&["a"], Node::Directory(Directory::with_mode(0o700))).unwrap();
        let root = tree.finish();
        let Node::Directory(a) = &root.children["a"] else { panic!("{root:?}") };
        assert_eq!(a.mode, 0o700);
        assert!(a.children.contains_key("b"));
    }

    #[test]
    fn a_path_has_one_owner() {
        let link = || Node::Link { target: "x".to_owned() };
        for (first, second) in
            [(vec!["a"], vec!["a"]), (vec!["a"], vec!["a", "b"]), (vec!["a", "b"], vec!["a"])]
        {
            for node in [file, link] {
                let mut tree = Builder::new();
                tree.add(&first, node()).unwrap();
                assert!(tree.add(&second, file()).is_err(), "{first:?} {second:?}");
            }
        }
        assert!(Builder::new().add(&[], file()).is_err(), "the root is a directory");
    }

    #[test]
    fn implied_directories_count_too() {
        let mut tree = Builder::new();
        let result = (0..NODES_MAX).try_for_each(|i| tree.add(&[&i.to_string(), "f"], file()));
        assert!(matches!(result, Err(Refusal::TooManyEntries)));
    }
}
