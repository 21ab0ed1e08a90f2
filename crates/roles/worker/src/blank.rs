//! Blanks: jailed VMMs without a guest, on files that nobody has said yet what is in.

use crate::capture::GuestMemory;
use crate::guest_files::{FilesError, GuestFiles, bind_image};
use crate::sandbox::{DirGuard, remove_dir};
use crate::shape::Shape;
use crate::{Serving, WorkerService};
use hearth_images::ScratchError;
use hearth_page_server::{CloneFile, PageServerError, Prefetch};
use hearth_snapshot_store::{Reference, Stored};
use hearth_types::SandboxId;
use hearth_vmm::{DeviceState, Disk, Memory, PreparedVm, Vm, VmError, VmSpec};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A blank could not be made, or not be made a guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlankError {
    #[error("a file for the guest could not be made")]
    Files(#[from] FilesError),
    #[error("a file could not be given to the guest")]
    Bind(#[from] PageServerError),
    #[error("the guest's scratch disk could not be made")]
    Scratch(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the guest's memory could not be put into a file")]
    Memory(#[source] io::Error),
    #[error(transparent)]
    Vm(#[from] VmError),
}

impl From<ScratchError> for BlankError {
    fn from(error: ScratchError) -> Self {
        Self::Scratch(Box::new(error))
    }
}

/// A guest's read-only disks, in its order: OS layer, runtime layer, code.
pub(crate) struct Disks(pub(crate) [CloneFile; 3]);

impl Disks {
    pub(crate) async fn unbound(files: &GuestFiles) -> Result<Self, FilesError> {
        let (os, runtime, code) = tokio::try_join!(files.disk(), files.disk(), files.disk())?;
        Ok(Self([os, runtime, code]))
    }

    /// Says what is on them.
    pub(crate) async fn bind(&self, images: &[Reference; 3]) -> Result<(), PageServerError> {
        let [os, runtime, code] = &self.0;
        let [os_image, runtime_image, code_image] = images;
        tokio::try_join!(
            bind_image(os, os_image),
            bind_image(runtime, runtime_image),
            bind_image(code, code_image),
        )?;
        Ok(())
    }

    /// As a VMM is given them, with its scratch disk.
    pub(crate) fn with(&self, scratch: &Path) -> Vec<Disk> {
        let mut disks: Vec<_> = self
            .0
            .iter()
            .map(|disk| Disk { path: disk.path().to_owned(), read_only: true })
            .collect();
        disks.push(Disk { path: scratch.to_owned(), read_only: false });
        disks
    }
}

/// A blank's memory.
enum BlankMemory {
    /// Served, and not bound yet.
    Served(CloneFile),
    /// In a file that it can be captured in.
    Captured(File),
}

/// A VMM that waits for a guest.
pub(crate) struct Blank {
    vm: Box<dyn PreparedVm>,
    memory: BlankMemory,
    disks: Disks,
    /// Which page server its files are of.
    pub(crate) generation: u64,
    /// Its own files.
    pub(crate) dir: PathBuf,
    pub(crate) scratch: PathBuf,
}

/// A guest that was a blank.
pub(crate) struct Cloned {
    pub(crate) vm: Arc<dyn Vm>,
    pub(crate) disks: Disks,
    /// Its memory as it is served.
    pub(crate) memory: Option<Arc<CloneFile>>,
    /// Its memory, if it can be captured.
    pub(crate) captured: Option<File>,
    pub(crate) generation: u64,
    /// What its memory is served from: held, or a collection could take it.
    pub(crate) origin: Arc<Stored>,
}

impl Blank {
    /// Starts one.
    pub(crate) async fn start(
        worker: &Arc<WorkerService>,
        serving: &Serving,
        shape: Shape,
    ) -> Result<Self, BlankError> {
        let files = serving.servers.get(worker).await?;
        let memory = files.memory(shape.memory_mib).await?;
        let place = Memory::Cloned(memory.path().to_owned());
        Self::on(worker, &files, shape, place, BlankMemory::Served(memory)).await
    }

    /// Starts one whose guest can be captured again: with a copy of the memory that
    /// it will be a clone of.
    pub(crate) async fn to_capture(
        worker: &Arc<WorkerService>,
        serving: &Serving,
        shape: Shape,
        of: &Stored,
    ) -> Result<Self, BlankError> {
        let files = serving.servers.get(worker).await?;
        let memory = GuestMemory::empty(shape.memory_mib).await.map_err(BlankError::Memory)?;
        memory.fill(&of.memory).await.map_err(BlankError::Memory)?;
        let place = memory.captured();
        // The name has to stay until the VMM has opened the file.
        let (memory, _name) = memory.split();
        Self::on(worker, &files, shape, place, BlankMemory::Captured(memory)).await
    }

    async fn on(
        worker: &Arc<WorkerService>,
        files: &GuestFiles,
        shape: Shape,
        place: Memory,
        memory: BlankMemory,
    ) -> Result<Self, BlankError> {
        let id = SandboxId::new();
        let dir = worker.options.sandboxes_dir().join(id.to_string());
        let guard = DirGuard::new(dir.clone());
        let made = async {
            let (scratch, disks) =
                tokio::try_join!(worker.make_scratch(&dir, shape.scratch_mib), async {
                    Ok(Disks::unbound(files).await?)
                },)?;
            let spec = worker.spec(id, shape, place, disks.with(&scratch));
            let vm = worker.driver.prepare(spec).await?;
            Ok((vm, scratch, disks))
        };
        let made: Result<_, BlankError> = made.await;
        let (vm, scratch, disks) = made?;
        guard.keep();
        Ok(Self { vm, memory, disks, generation: files.generation(), dir, scratch })
    }

    /// Whether it can still become a guest.
    pub(crate) fn is_alive(&self) -> bool {
        self.vm.is_alive()
    }

    /// Makes it a clone, with these images on its disks.
    pub(crate) async fn become_clone(
        self,
        of: &Arc<Stored>,
        images: &[Reference; 3],
    ) -> Result<Cloned, BlankError> {
        let Self { vm, memory, disks, generation, .. } = self;
        let (memory, captured) = match memory {
            BlankMemory::Served(file) => (Some(Arc::new(file)), None),
            BlankMemory::Captured(file) => (None, Some(file)),
        };
        let bind_memory = async {
            match &memory {
                Some(memory) => memory.bind(source(of), prefetch(of)).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(bind_memory, disks.bind(images))?;
        let vm = vm.resume(DeviceState(of.state.clone())).await?;
        Ok(Cloned { vm, disks, memory, captured, generation, origin: Arc::clone(of) })
    }

    /// Ends it and removes its files.
    pub(crate) async fn discard(self) {
        let Self { vm, dir, .. } = self;
        drop(vm);
        remove_dir(&dir).await;
    }
}

fn source(of: &Stored) -> hearth_page_server::SourceRef {
    Reference::Stored(of.name.owner(), of.memory.id()).encode()
}

/// What is to be there before the guest asks for it.
fn prefetch(of: &Stored) -> Option<Prefetch> {
    let pack = of.pack.as_ref()?;
    Some(Prefetch {
        pack: Some(Reference::Pack(of.name.owner(), pack.file().id()).encode()),
        pages: pack.pages(),
        zeros: of.record.zeros.iter().copied().map(hearth_page_server::PageNo).collect(),
    })
}

impl WorkerService {
    /// A formatted scratch disk in a directory, which is made.
    pub(crate) async fn make_scratch(&self, dir: &Path, mib: u32) -> Result<PathBuf, BlankError> {
        let failed = |error: io::Error| BlankError::Scratch(Box::new(error));
        tokio::fs::create_dir(dir).await.map_err(failed)?;
        let path = dir.join("tmp.ext4");
        let (target, cache) = (path.clone(), Arc::clone(&self.image_cache));
        let bytes = u64::from(mib) << 20;
        tokio::task::spawn_blocking(move || cache.create_scratch(&target, bytes))
            .await
            .map_err(|error| BlankError::Scratch(Box::new(error)))??;
        Ok(path)
    }

    pub(crate) fn spec(
        &self,
        id: SandboxId,
        shape: Shape,
        memory: Memory,
        disks: Vec<Disk>,
    ) -> VmSpec {
        VmSpec {
            id,
            memory_mib: shape.memory_mib,
            memory,
            vcpus: shape.vcpus,
            kernel: self.images.kernel.path.clone(),
            initramfs: self.images.initramfs.path.clone(),
            disks,
            network: true,
        }
    }
}
