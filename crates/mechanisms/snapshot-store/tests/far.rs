//! A restore from an origin 36 ms away, with nothing cached: how many trips follow one
//! another, and how many bytes come. What a worker does is done here, on a page server's
//! process of its own. This program is the test, and by its first argument the server.

mod support;

use anyhow::ensure;
use bytes::Bytes;
use futures_util::StreamExt;
use hearth_chunk_store::{ChunkStore, Keyring, Options, PAGE_BYTES, StoredFile};
use hearth_snapshot_store::{Captured, ChunkSources, Name, SnapshotStore, Stored, WorkingSetOf};
use object_store::ObjectStore;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::far::{Far, asked, depth};
use support::served::{Mounted, bound, server};
use support::{Fixture, captured, file_of, function, layer, local};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pages of the guest's memory: 256 MiB.
const PAGES: u32 = 65_536;
/// Where its three layers have written last: 60, 25 and 15 MiB.
const WRITTEN: [(u32, u32); 3] = [(0, 15_360), (12_000, 6_400), (20_000, 3_840)];
/// Pages that a restore touches.
const WORKING_SET: u32 = 2_600;
/// Trips to the origin that follow one another, at most.
const TRIPS_MAX: usize = 4;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("serve") {
        let dir = args.next().expect("a directory");
        let serve = async {
            let chunks = far_chunks(Path::new(&dir)).await;
            hearth_page_server::serve(Arc::new(ChunkSources(chunks))).await
        };
        return Ok(hearth_page_server::runtime()?.block_on(serve)?);
    }
    let test = libtest_mimic::Trial::test(
        "a_restore_takes_few_trips_and_little_more_than_it_touches",
        || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let result =
                runtime.block_on(async { tokio::time::timeout(PATIENCE, restores()).await });
            runtime.shutdown_background();
            Ok(result.map_err(|_| "it took too long")?.map_err(|error| format!("{error:?}"))?)
        },
    );
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), vec![test]).exit();
}

fn far_origin(dir: &Path) -> Arc<dyn ObjectStore> {
    Arc::new(Far::over(local(dir), dir.join("asked")))
}

async fn far_chunks(dir: &Path) -> ChunkStore {
    let keyring = Keyring::local(&dir.join("keyring")).await.unwrap();
    ChunkStore::new(far_origin(dir), keyring, Options::default()).unwrap()
}

/// A page that no other is like.
fn page(layer: usize, number: u32) -> Vec<u8> {
    let word = (u64::from(number) << 8) | layer as u64 | 1 << 40;
    word.to_le_bytes().repeat(PAGE_BYTES / 8)
}

/// Who wrote a page last.
fn writer(number: u32, layers: usize) -> Option<usize> {
    let wrote = |layer: &usize| {
        let (first, pages) = WRITTEN[*layer];
        (first..first + pages).contains(&number)
    };
    (0..layers).rev().find(wrote)
}

/// Memory after so many layers.
fn memory(layers: usize) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(u64::from(PAGES) * PAGE_BYTES as u64).unwrap();
    for number in 0..PAGES {
        if let Some(layer) = writer(number, layers) {
            let at = u64::from(number) * PAGE_BYTES as u64;
            file.write_all_at(&page(layer, number), at).unwrap();
        }
    }
    file
}

/// Saves three layers of a guest, the last of which is a function's, and what its
/// restores touch: pages of all three, in no order.
async fn saved(store: &SnapshotStore, name: &Name) -> anyhow::Result<Vec<u32>> {
    let mut below: Option<Stored> = None;
    for (layers, name) in [layer("os"), layer("python"), name.clone()].into_iter().enumerate() {
        let mut guest = captured(&[], below.as_ref());
        guest.memory = Arc::new(memory(layers + 1));
        guest.state = Bytes::from(vec![7; 100 * 1024]);
        guest.scratch = Some(file_of(&[3; 3 * PAGE_BYTES]));
        let saved = store.save(name, Captured { ..guest }).await?;
        below = Some(saved);
    }
    let full = WRITTEN[2].0 + WRITTEN[2].1;
    // A step that meets every page once, far from the one before.
    let touched = (0..full).map(|n| (u64::from(n) * 7_919 % u64::from(full)) as u32);
    let touched: Vec<u32> = touched.filter(|n| writer(*n, 3).is_some()).collect();
    let set: Vec<u32> = touched.into_iter().take(WORKING_SET as usize).collect();
    ensure!(set.len() == WORKING_SET as usize);
    let stored = below.expect("there are three");
    store.learn(&stored, &WorkingSetOf { pages: set.clone(), recordings: 3 }).await?;
    Ok(set)
}

/// What a worker does to a clone's scratch disk.
async fn overwrite(file: &StoredFile) -> anyhow::Result<()> {
    let mut chunks = Box::pin(file.fetch_all());
    while let Some(fetched) = chunks.next().await {
        fetched?;
    }
    Ok(())
}

async fn restores() -> anyhow::Result<()> {
    let fixture = Fixture::new();
    let _mounted = Mounted(&fixture);
    let name = function(1);
    let set = saved(&fixture.store().await, &name).await?;
    let server = server(&fixture).await?;
    let objects = far_origin(fixture.path());
    let store = SnapshotStore::new(far_chunks(fixture.path()).await, objects);

    let began = std::time::Instant::now();
    let stored = store.open(&name).await?.expect("it was saved");
    overwrite(stored.scratch.as_ref().expect("it has one")).await?;
    let clone = bound(&server, &stored).await?;
    let report = clone.prefetched().await?;
    let took = began.elapsed();
    ensure!(report.whole && report.pages == u64::from(WORKING_SET), "{report:?}");

    let all = asked(&fixture.path().join("asked"));
    let (trips, bytes) = (depth(&all), all.iter().map(|asked| asked.bytes).sum::<u64>());
    let packed = u64::from(WORKING_SET) * PAGE_BYTES as u64;
    println!(
        "{} requests, {trips} of them one after the other; {bytes} bytes for {packed} that are \
         touched, {:.2} times as many; {took:?}",
        all.len(),
        bytes as f64 / packed as f64,
    );
    ensure!(trips <= TRIPS_MAX, "{trips} trips: {all:#?}");
    ensure!(bytes * 2 <= packed * 3, "{bytes} bytes, and {packed} are touched: {all:#?}");

    // All that is touched is there, and right; what is not known to be touched comes too.
    let path = clone.path().to_owned();
    let read = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let file = File::open(path)?;
        for number in set {
            let mut bytes = vec![0; PAGE_BYTES];
            file.read_exact_at(&mut bytes, u64::from(number) * PAGE_BYTES as u64)?;
            let layer = writer(number, 3).expect("pages of zeros are in no pack");
            ensure!(bytes == page(layer, number), "page {number}");
        }
        Ok(())
    });
    read.await??;
    let stats = clone.stats().await?;
    ensure!(stats.source_pages == 0, "{stats:?}");
    ensure!(asked(&fixture.path().join("asked")).len() == all.len());
    drop(clone);
    server.shutdown().await;
    Ok(())
}
