//! The kernel modules that a guest needs before it can mount anything: found
//! in the unpacked kernel package, ordered by their own `depends=` lines, and
//! trimmed of what only costs time to load.

use crate::elf;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the agent loads, besides what these depend on.
pub(crate) const WANTED: [&str; 5] =
    ["virtio_mmio", "virtio_blk", "erofs", "overlay", "virtio_net"];

/// Larger than any module that is wanted.
const MODULE_BYTES_MAX: u64 = 16 << 20;
const SIGNATURE_MAGIC: &[u8] = b"~Module signature appended~\n";
/// `struct module_signature`: eight bytes of ids and lengths, then the
/// signature's length, u32 BE.
const SIGNATURE_HEADER_BYTES: usize = 12;

/// A module, ready to load.
#[derive(Debug)]
pub(crate) struct Module {
    /// Name without suffix.
    pub(crate) name: String,
    /// The ELF file.
    pub(crate) elf: Vec<u8>,
}

/// Why the modules could not be gathered.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// The kernel package does not have it.
    #[error("the kernel package has no module {0}")]
    Missing(String),
    /// Reading or unpacking failed.
    #[error("cannot read {path}")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no kernel module.
    #[error("module {0} is malformed")]
    Malformed(String),
}

/// The `wanted` modules under `directory` and all that they depend on, each
/// after its dependencies.
pub(crate) fn gather(directory: &Path, wanted: &[&str]) -> Result<Vec<Module>, ModulesError> {
    let mut paths = BTreeMap::new();
    index(directory, &mut paths)?;
    let mut ordered = Vec::new();
    for name in wanted {
        visit(name, &paths, &mut ordered)?;
    }
    Ok(ordered)
}

/// Adds `name` after its dependencies. Modules cannot depend on each other in
/// a circle: the kernel's build would refuse them.
fn visit(
    name: &str,
    paths: &BTreeMap<String, PathBuf>,
    ordered: &mut Vec<Module>,
) -> Result<(), ModulesError> {
    if ordered.iter().any(|m| m.name == name) {
        return Ok(());
    }
    let path = paths.get(name).ok_or_else(|| ModulesError::Missing(name.to_owned()))?;
    let elf = read(path)?;
    for dependency in depends(&elf) {
        visit(&dependency, paths, ordered)?;
    }
    let elf = trim(elf).ok_or_else(|| ModulesError::Malformed(name.to_owned()))?;
    ordered.push(Module { name: name.to_owned(), elf });
    Ok(())
}

/// Maps the module names under `directory` to files. Names use underscores
/// where file names may have hyphens.
fn index(directory: &Path, paths: &mut BTreeMap<String, PathBuf>) -> Result<(), ModulesError> {
    let fail = |source| ModulesError::Read { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
        if entry.file_type().map_err(fail)?.is_dir() {
            index(&path, paths)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            paths.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, ModulesError> {
    let fail = |source| ModulesError::Read { path: path.to_owned(), source };
    let packed = fs::read(path).map_err(fail)?;
    if path.extension().is_some_and(|e| e != "xz") {
        return Ok(packed);
    }
    let mut elf = Vec::new();
    let mut decoder = liblzma::read::XzDecoder::new(packed.as_slice());
    let mut bounded = std::io::Read::take(&mut decoder, MODULE_BYTES_MAX);
    std::io::Read::read_to_end(&mut bounded, &mut elf).map_err(fail)?;
    Ok(elf)
}

/// The names in the module's `depends=a,b` line. Section `.modinfo` holds such
/// lines separated by NULs.
fn depends(elf: &[u8]) -> Vec<String> {
    let mut lines = elf.split(|b| *b == 0);
    let Some(line) = lines.find_map(|l| l.strip_prefix(b"depends=")) else { return Vec::new() };
    let names = String::from_utf8_lossy(line);
    names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

/// Takes off the signature, and hides the type information of section `.BTF`.
///
/// The kernel would check the one with RSA and, for the other, parse its own
/// several megabytes of types, at every boot; emulated, that takes longer than
/// the rest of the loading. apt has checked the package, and nothing in a
/// guest traces its kernel.
fn trim(mut elf: Vec<u8>) -> Option<Vec<u8>> {
    if let Some(body) = elf.strip_suffix(SIGNATURE_MAGIC) {
        let header = body.len().checked_sub(SIGNATURE_HEADER_BYTES)?;
        let length = u32::from_be_bytes(body[header + 8..].try_into().ok()?) as usize;
        elf.truncate(header.checked_sub(length)?);
    }
    if let Some(types) = elf::section(&elf, ".BTF")? {
        // Name 0 is the empty one; the loader looks sections up by name.
        elf.get_mut(types.header..types.header + 4)?.fill(0);
    }
    Some(elf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(depends: &str) -> Vec<u8> {
        elf::tests::file(format!("\0depends={depends}\0name=x\0").as_bytes())
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("net")).unwrap();
        fs::write(dir.path().join("net/a.ko"), module("b,c_d")).unwrap();
        fs::write(dir.path().join("b.ko"), module("c_d")).unwrap();
        fs::write(dir.path().join("c-d.ko"), module("")).unwrap();
        let names: Vec<String> =
            gather(dir.path(), &["a", "b"]).unwrap().into_iter().map(|m| m.name).collect();
        assert_eq!(names, ["c_d", "b", "a"]);
        assert!(matches!(gather(dir.path(), &["z"]), Err(ModulesError::Missing(_))));
    }

    #[test]
    fn signature_and_types_are_gone() {
        let plain = module("");
        let mut signed = plain.clone();
        signed.extend_from_slice(&[7; 100]);
        signed.extend_from_slice(&[0, 0, 2, 0, 0, 0, 0, 0]);
        signed.extend_from_slice(&100u32.to_be_bytes());
        signed.extend_from_slice(SIGNATURE_MAGIC);
        let trimmed = trim(signed).unwrap();
        assert_eq!(trimmed.len(), plain.len());
        assert!(elf::section(&plain, ".BTF").unwrap().is_some());
        assert!(elf::section(&trimmed, ".BTF").unwrap().is_none());
        assert!(elf::section(&trimmed, ".shstrtab").unwrap().is_some());
        assert_eq!(trim(b"short".to_vec()), None);
    }
}
