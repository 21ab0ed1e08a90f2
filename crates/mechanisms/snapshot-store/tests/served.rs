//! Snapshots through a page server's process, which holds nothing open here: what its
//! files need is kept by whoever had them bound. This program is the tests, and by
//! its first argument the server.

mod support;

use anyhow::ensure;
use hearth_page_server::{Access, CloneFile, FileSpec, PageServer, Prefetch, StartOptions, Waits};
use hearth_snapshot_store::{ChunkSources, Reference, Stored, WorkingSetOf};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::mount::{UnmountFlags, unmount};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{Fixture, captured, chunks_in, collect, function, pages};

const PAGES: u32 = 300;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("serve") {
        let dir = args.next().expect("a directory");
        let serve = async {
            let chunks = chunks_in(Path::new(&dir)).await;
            hearth_page_server::serve(Arc::new(ChunkSources(chunks))).await
        };
        return hearth_page_server::runtime().unwrap().block_on(serve).unwrap();
    }
    let tests = vec![
        trial("what_a_clone_has_bound_outlives_the_snapshots_name", bound_outlives_the_name),
        trial("a_clone_starts_with_its_working_set", starts_with_its_working_set),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

fn trial<F>(name: &'static str, test: fn() -> F) -> Trial
where
    F: Future<Output = anyhow::Result<()>> + 'static,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(async { tokio::time::timeout(PATIENCE, test()).await });
        // Of a test that failed, a reader may wait forever.
        runtime.shutdown_background();
        match result {
            Ok(result) => result.map_err(|error| Failed::from(format!("{error:?}"))),
            Err(_) => Err("it took too long".into()),
        }
    })
}

/// Takes the mount down, or the directory could not be removed.
struct Mounted<'a>(&'a Fixture);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // Not mounted, if the server was quicker.
        let _not_mounted = unmount(self.0.path().join("pages/files"), UnmountFlags::DETACH);
    }
}

async fn server(fixture: &Fixture) -> anyhow::Result<PageServer> {
    let options = StartOptions {
        dir: fixture.path().join("pages"),
        program: std::env::current_exe()?,
        args: vec!["serve".into(), fixture.path().into()],
        waits: Waits::default(),
    };
    Ok(PageServer::start(options).await?)
}

/// The memory of a clone, as a worker has it bound.
async fn clone_of(server: &PageServer, stored: &Stored) -> anyhow::Result<CloneFile> {
    let size = stored.memory.size();
    let spec = FileSpec { size, writable: false, uid: Some(0), access: Access::Mapped };
    let clone = server.create(spec).await?;
    let owner = stored.name.owner();
    let prefetch = stored.pack.as_ref().map(|pack| Prefetch {
        pack: Some(Reference::Pack(owner.clone(), pack.file().id()).encode()),
        pages: pack.pages(),
        zeros: stored.record.zeros.iter().copied().map(hearth_page_server::PageNo).collect(),
    });
    clone.bind(Reference::Stored(owner, stored.memory.id()).encode(), prefetch).await?;
    Ok(clone)
}

/// A page, read through the mount.
async fn page(clone: &CloneFile, page: u32) -> std::io::Result<Vec<u8>> {
    let path = clone.path().to_owned();
    let read = move || {
        let mut bytes = vec![0; 4096];
        File::open(path)?.read_exact_at(&mut bytes, u64::from(page) * 4096)?;
        Ok(bytes)
    };
    tokio::task::spawn_blocking(read).await?
}

async fn bound_outlives_the_name() -> anyhow::Result<()> {
    let fixture = Fixture::new();
    let _mounted = Mounted(&fixture);
    let (store, server) = (fixture.store().await, server(&fixture).await?);
    let name = function(1);
    let stored = store.save(name.clone(), captured(&pages(1..=PAGES), None)).await?;
    let clone = clone_of(&server, &stored).await?;
    ensure!(page(&clone, 0).await? == pages([1]));

    store.remove(&name).await?;
    for _ in 0..2 {
        collect(&fixture, &store).await;
    }
    // Of the second chunk, which nobody has read yet.
    ensure!(page(&clone, 200).await? == pages([201]), "it is kept by who had it bound");
    ensure!(clone_of(&server, &stored).await.is_ok(), "and can be bound again");

    // What holds it is `stored`, and nothing else.
    drop(stored);
    ensure!(collect(&fixture, &store).await > 0);
    ensure!(page(&clone, 299).await.is_err(), "the last chunk is gone");
    ensure!(page(&clone, 0).await? == pages([1]), "the kernel has this page");
    drop(clone);
    server.shutdown().await;
    Ok(())
}

async fn starts_with_its_working_set() -> anyhow::Result<()> {
    let fixture = Fixture::new();
    let _mounted = Mounted(&fixture);
    let (store, server) = (fixture.store().await, server(&fixture).await?);
    let memory = pages((0..PAGES).map(|page| page * u32::from(page % 10 != 0)));
    let stored = store.save(function(1), captured(&memory, None)).await?;
    let first = clone_of(&server, &stored).await?;
    for touched in [250, 10, 3, 2] {
        page(&first, touched).await?;
    }
    let log = first.finish().await?;
    let set = hearth_page_server::WorkingSet::merge(&[log]);
    let set =
        WorkingSetOf { pages: set.pages().iter().map(|page| page.0).collect(), recordings: 1 };
    let learnt = store.learn(&stored, &set).await?;
    drop(stored);

    let second = clone_of(&server, &learnt).await?;
    let report = second.prefetched().await?;
    ensure!(report.whole && report.pages == set.pages.len() as u64, "{report:?}");
    for number in [250, 10, 3, 2] {
        let expected = number * u32::from(number % 10 != 0);
        ensure!(page(&second, number).await? == pages([expected]), "page {number}");
    }
    ensure!(second.stats().await?.requests == 0, "all of it was there");
    drop(second);
    server.shutdown().await;
    Ok(())
}
