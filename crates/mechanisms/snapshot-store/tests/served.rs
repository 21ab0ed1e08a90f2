//! Snapshots through a page server's process, which holds nothing open here: what its
//! files need is kept by whoever had them bound. This program is the tests, and by
//! its first argument the server.

mod support;

use anyhow::ensure;
use hearth_page_server::CloneFile;
use hearth_snapshot_store::{ChunkSources, WorkingSetOf};
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::served::{Mounted, bound, server};
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
    let clone = bound(&server, &stored).await?;
    ensure!(page(&clone, 0).await? == pages([1]));

    store.remove(&name).await?;
    for _ in 0..2 {
        collect(&fixture, &store).await;
    }
    // Of the second chunk, which nobody has read yet.
    ensure!(page(&clone, 200).await? == pages([201]), "it is kept by who had it bound");
    ensure!(bound(&server, &stored).await.is_ok(), "and can be bound again");

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
    let first = bound(&server, &stored).await?;
    for touched in [250, 10, 3, 2] {
        page(&first, touched).await?;
    }
    let log = first.finish().await?;
    let set = hearth_page_server::WorkingSet::merge(&[log]);
    let set =
        WorkingSetOf { pages: set.pages().iter().map(|page| page.0).collect(), recordings: 1 };
    let learnt = store.learn(&stored, &set).await?;
    drop(stored);

    let second = bound(&server, &learnt).await?;
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
