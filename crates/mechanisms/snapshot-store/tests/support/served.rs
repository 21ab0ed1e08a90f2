//! Snapshots behind a page server's process: the test's own program, which serves when
//! its first argument says so.

use super::Fixture;
use hearth_page_server::{
    Access, CloneFile, FileSpec, PageNo, PageServer, Prefetch, StartOptions, Waits,
};
use hearth_snapshot_store::{Reference, Stored};
use rustix::mount::{UnmountFlags, unmount};

/// Takes the mount down, or the directory could not be removed.
pub struct Mounted<'a>(pub &'a Fixture);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // Not mounted, if the server was quicker.
        let _not_mounted = unmount(self.0.path().join("pages/files"), UnmountFlags::DETACH);
    }
}

/// The server, started.
pub async fn server(fixture: &Fixture) -> anyhow::Result<PageServer> {
    let options = StartOptions {
        dir: fixture.path().join("pages"),
        program: std::env::current_exe()?,
        args: vec!["serve".into(), fixture.path().into()],
        waits: Waits::default(),
    };
    Ok(PageServer::start(options).await?)
}

/// The memory of a clone, as a worker has it bound.
pub async fn bound(server: &PageServer, stored: &Stored) -> anyhow::Result<CloneFile> {
    let size = stored.memory.size();
    let spec = FileSpec { size, writable: false, uid: Some(0), access: Access::Mapped };
    let clone = server.create(spec).await?;
    let owner = stored.name.owner();
    let prefetch = stored.pack.as_ref().map(|pack| Prefetch {
        pack: Some(Reference::Pack(owner.clone(), pack.file().id()).encode()),
        pages: pack.pages(),
        zeros: stored.record.zeros.iter().copied().map(PageNo).collect(),
    });
    clone.bind(Reference::Stored(owner, stored.memory.id()).encode(), prefetch).await?;
    Ok(clone)
}
