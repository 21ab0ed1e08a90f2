//! Recipe keys: a hash of all that decides what a build step makes, as far as
//! it is known without asking the network. Equal key, nothing to do.

use crate::digest::{Digest, Digester};
use crate::modules::WANTED;
use crate::recipe::{JAVA21, NODEJS22, OS, PYTHON313, Recipe};
use crate::sources::SUITE;
use hearth_types::Runtime;

/// Raised whenever the code that makes images changes what it makes, so that
/// caches are rebuilt.
const BUILDER_VERSION: u32 = 4;

/// Steps, as the index and progress name them; a runtime's step has its name.
pub(crate) const KERNEL: &str = "kernel";
pub(crate) const OS_LAYER: &str = "os";
pub(crate) const INITRAMFS: &str = "initramfs";

pub(crate) fn kernel() -> Digest {
    let mut key = digester(KERNEL);
    key.field(WANTED.join(" ").as_bytes());
    key.finish()
}

pub(crate) fn os_layer() -> Digest {
    let mut key = digester(OS_LAYER);
    OS.digest_into(&mut key);
    key.finish()
}

/// A runtime's layer holds what the OS layer beneath it does not, so a new OS
/// layer makes a new runtime layer.
pub(crate) fn runtime_layer(runtime: Runtime, os_layer: &Digest) -> Digest {
    let mut key = digester(runtime.as_str());
    key.field(os_layer.as_str().as_bytes());
    if let Some(recipe) = recipe_of(runtime) {
        recipe.digest_into(&mut key);
    }
    key.finish()
}

pub(crate) fn initramfs(modules: &Digest, agent: &[u8]) -> Digest {
    let mut key = digester(INITRAMFS);
    key.field(modules.as_str().as_bytes()).field(agent);
    key.finish()
}

fn digester(kind: &str) -> Digester {
    let mut key = Digester::new(kind);
    key.field(&BUILDER_VERSION.to_le_bytes()).field(SUITE.as_bytes());
    key
}

fn recipe_of(runtime: Runtime) -> Option<Recipe> {
    match runtime {
        Runtime::Python313 => Some(PYTHON313),
        Runtime::NodeJs22 => Some(NODEJS22),
        Runtime::Java21 => Some(JAVA21),
        Runtime::ProvidedAl2023 => None,
    }
}
