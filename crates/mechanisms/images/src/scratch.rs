//! Scratch disks: the writable `/tmp` of a sandbox, an empty ext4 in a sparse
//! file. `mkfs` runs once per size and its few non-zero extents are kept in
//! memory, so that a new disk is a truncate and a handful of writes.

use crate::command::{self, ToolError, run};
use crate::tools::{DEBUGFS, MKFS_EXT4};
use rustix::fs::{SeekFrom, seek};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Sizes remembered; functions use few, and each takes some 200 KiB.
const TEMPLATES_MAX: usize = 64;
/// All disks have it; it must only not be random.
const UUID: &str = "68656172-7468-4000-8000-000000000001";
/// No journal and no checksums, for nothing outlives the sandbox; inode tables
/// are left as the holes they are, in place of being zeroed by the guest.
const FEATURES: &str = "none,extent,flex_bg,uninit_bg,sparse_super,filetype,dir_index,\
                        large_file,huge_file,extra_isize";

/// A scratch disk could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// The file could not be written.
    #[error("cannot write the scratch disk")]
    Io(#[from] io::Error),
    /// The file system could not be made.
    #[error("cannot make the scratch disk's file system")]
    Tool(#[from] ToolError),
}

/// Makes scratch disks.
#[derive(Default)]
pub(crate) struct ScratchDisks {
    templates: Mutex<HashMap<u64, Arc<Template>>>,
}

/// The non-zero parts of an empty file system.
struct Template {
    extents: Vec<(u64, Vec<u8>)>,
}

impl ScratchDisks {
    /// Writes a new file system of `bytes` to `path`, in place of what was
    /// there. Its root is mode 1777 and empty.
    pub(crate) fn create(&self, path: &Path, bytes: u64) -> Result<(), ScratchError> {
        let template = self.template(path, bytes)?;
        let file = File::create(path)?;
        file.set_len(bytes)?;
        for (offset, data) in &template.extents {
            file.write_all_at(data, *offset)?;
        }
        Ok(())
    }

    /// The template of this size, made beside `path` the first time. Two that
    /// ask at once may both make it; they make the same.
    fn template(&self, path: &Path, bytes: u64) -> Result<Arc<Template>, ScratchError> {
        let lock = || self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&bytes) {
            return Ok(Arc::clone(known));
        }
        let directory = path.parent().unwrap_or(Path::new("."));
        let template = Arc::new(Template::make(directory, bytes)?);
        let mut templates = lock();
        if templates.len() >= TEMPLATES_MAX {
            templates.clear();
        }
        templates.insert(bytes, Arc::clone(&template));
        Ok(template)
    }
}

impl Template {
    fn make(directory: &Path, bytes: u64) -> Result<Self, ScratchError> {
        let file = tempfile::NamedTempFile::new_in(directory)?;
        file.as_file().set_len(bytes)?;
        let mut mkfs = command::of(MKFS_EXT4)?;
        mkfs.args(["-q", "-F", "-m", "0", "-b", "4096", "-i", "16384", "-U", UUID, "-O", FEATURES]);
        mkfs.arg("-E").arg(format!(
            "hash_seed={UUID},lazy_itable_init=1,assume_storage_prezeroed=1,root_owner=0:0"
        ));
        run(mkfs.arg(file.path()))?;
        for request in ["rmdir lost+found", "set_inode_field <2> mode 041777"] {
            let mut debugfs = command::of(DEBUGFS)?;
            run(debugfs.args(["-w", "-R", request]).arg(file.path()))?;
        }
        Ok(Self { extents: extents(&File::open(file.path())?)? })
    }
}

/// The parts of `file` that are not holes.
fn extents(file: &File) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut extents = Vec::new();
    let mut at = 0;
    loop {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data from here to the end.
            Err(rustix::io::Errno::NXIO) => return Ok(extents),
            Err(e) => return Err(e.into()),
        };
        at = seek(file, SeekFrom::Hole(start))?;
        let mut data = vec![0; (at - start) as usize];
        file.read_exact_at(&mut data, start)?;
        extents.push((start, data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::time::Instant;

    const BYTES: u64 = 512 << 20;

    #[test]
    fn disks_are_sound_sparse_alike_and_quick() {
        let dir = tempfile::tempdir().unwrap();
        let disks = ScratchDisks::default();
        let path = |n: usize| dir.path().join(format!("{n}.ext4"));
        disks.create(&path(0), BYTES).unwrap();
        let mut times: Vec<_> = (1..10)
            .map(|n| {
                let began = Instant::now();
                disks.create(&path(n), BYTES).unwrap();
                began.elapsed()
            })
            .collect();
        times.sort();
        assert!(times[4].as_millis() < 5, "a scratch disk took {:?}", times[4]);

        let e2fsck = hearth_programs::Program::new("e2fsck", "e2fsprogs");
        run(command::of(e2fsck).unwrap().args(["-f", "-n"]).arg(path(1))).unwrap();
        let metadata = std::fs::metadata(path(1)).unwrap();
        assert_eq!(metadata.len(), BYTES);
        assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());

        let list = run(command::of(DEBUGFS).unwrap().args(["-R", "ls -l /"]).arg(path(1))).unwrap();
        let list = String::from_utf8(list).unwrap();
        let names: Vec<_> = list.lines().filter(|l| !l.trim().is_empty()).collect();
        assert!(names.len() == 2 && names[0].contains("41777"), "{list}");
    }
}
