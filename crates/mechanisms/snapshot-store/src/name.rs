//! What snapshots are called, and whose they are.

use hearth_chunk_store::{ChunkName, LayerId, Owner};
use hearth_types::{AccountId, SnapshotId};
use object_store::path::Path;
use std::fmt;

/// Names of functions' snapshots lie there.
pub(crate) const FUNCTIONS: &str = "snapshots";
/// Names of layers' snapshots lie there.
pub(crate) const LAYERS: &str = "layers";

/// A layer: the digest of all that its guest was made of. A layer of other images,
/// for another size of guest or another machine has another name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerName(LayerId);

impl LayerName {
    /// Names the layer that `kind` (a runtime, or the OS) is, made of `parts`.
    pub fn of(kind: &str, parts: &[&str]) -> Self {
        // Lengths, so that no two lists of parts read alike.
        let text: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
        let digest = ChunkName::of(text.as_bytes());
        let id = format!("{kind}-{digest}").parse();
        Self(id.expect("a runtime's name, a dash and hex digits are a layer's id"))
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A snapshot's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Of a guest that waits for a function.
    Layer(LayerName),
    /// Of a function's, initialised.
    Function(AccountId, SnapshotId),
}

impl Name {
    /// Under whose keys it is sealed.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Layer(name) => Owner::Layer(name.0.clone()),
            Self::Function(account, _) => Owner::Account(account.clone()),
        }
    }

    /// The layer that an owner is.
    pub fn of_layer(owner: &Owner) -> Option<Self> {
        match owner {
            Owner::Layer(id) => Some(Self::Layer(LayerName(id.clone()))),
            Owner::Account(_) | Owner::Unknown(_) => None,
        }
    }

    pub(crate) fn path(&self) -> Path {
        match self {
            Self::Layer(name) => Path::from(format!("{LAYERS}/{name}")),
            Self::Function(account, id) => Path::from(format!("{FUNCTIONS}/{account}/{id}")),
        }
    }

    /// The name that lies at a path, if one does.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        match &parts[..] {
            [kind, name] if kind.as_ref() == LAYERS => {
                Some(Self::Layer(LayerName(name.as_ref().parse().ok()?)))
            }
            [kind, account, id] if kind.as_ref() == FUNCTIONS => {
                Some(Self::Function(account.as_ref().parse().ok()?, id.as_ref().parse().ok()?))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_lie() {
        let account: AccountId = "123456789012".parse().unwrap();
        for name in [
            Name::Function(account, SnapshotId::new()),
            Name::Layer(LayerName::of("python3.13", &["machine", "256"])),
        ] {
            assert_eq!(Name::at(&name.path()), Some(name));
        }
        for path in ["code/x", "layers/../x", "snapshots/1/2", "layers/a/b"] {
            assert_eq!(Name::at(&Path::from(path)), None, "{path}");
        }
    }

    #[test]
    fn layers_of_other_parts_have_other_names() {
        let name = |parts: &[&str]| LayerName::of("os", parts);
        assert_eq!(name(&["a", "b"]), name(&["a", "b"]));
        assert_ne!(name(&["a", "b"]), name(&["ab"]));
        assert_ne!(name(&["a", "b"]), name(&["b", "a"]));
    }
}
