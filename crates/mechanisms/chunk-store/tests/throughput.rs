//! How fast it is. `cargo test --release -p hearth-chunk-store --test throughput -- --ignored --nocapture`

mod support;

use futures_util::TryStreamExt;
use hearth_chunk_format::{CHUNK_BYTES, OwnerKey, check_name, open_chunk, seal_chunk};
use hearth_chunk_store::{ChunkStore, DiskOptions, Keyring, Options, PAGE_BYTES};
use object_store::local::LocalFileSystem;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{account, layer};

/// Of 65,536 pages, 75 MiB hold data, in runs of 8.
const PAGES: u32 = 65_536;
const DATA_PAGES: u32 = 19_200;
const ROUNDS: u32 = 256;

/// Pages that look like nothing else.
fn page(number: u32, generation: u32) -> Vec<u8> {
    let mut out = vec![0; PAGE_BYTES];
    let seed = (u64::from(generation) << 32) | u64::from(number);
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn memory_file(path: &Path, generation_of: impl Fn(u32) -> u32) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
    let file = file.unwrap();
    file.set_len(u64::from(PAGES) * PAGE_BYTES as u64).unwrap();
    for n in 0..DATA_PAGES {
        let at = (n / 8) * (PAGES / (DATA_PAGES / 8)) + n % 8;
        file.write_all_at(&page(n, generation_of(n)), u64::from(at) * PAGE_BYTES as u64).unwrap();
    }
    file
}

async fn store(dir: &Path, disk: bool) -> ChunkStore {
    let objects = dir.join("objects");
    std::fs::create_dir_all(&objects).unwrap();
    let origin = LocalFileSystem::new_with_prefix(objects).unwrap().with_fsync(true);
    let disk = disk.then(|| DiskOptions { dir: dir.join("cache"), bytes: 4 << 30 });
    let options = Options { disk, ..Options::default() };
    let keyring = Keyring::local(&dir.join("keyring")).await.unwrap();
    ChunkStore::new(Arc::new(origin), keyring, options).unwrap()
}

/// Of this thread: others do not count.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn rate(bytes: usize, took: Duration) -> String {
    format!("{:.2} GB/s ({took:.1?})", bytes as f64 / took.as_secs_f64() / 1e9)
}

#[test]
#[ignore = "measures"]
fn one_core() {
    let secret = OwnerKey::from_bytes([1; 32]).chunk_secret();
    let plaintext: Vec<u8> = (0..128).flat_map(|n| page(n, 0)).collect();
    let (chunk, sealed) = seal_chunk(&secret, plaintext.clone());
    let measure = |what: &str, work: &dyn Fn()| {
        work();
        let started = cpu_time();
        (0..ROUNDS).for_each(|_| work());
        println!("{what}: {}", rate(CHUNK_BYTES * ROUNDS as usize, cpu_time() - started));
    };
    measure("verify", &|| check_name(&chunk, &sealed).unwrap());
    measure("verify and open", &|| drop(open_chunk(&chunk, &sealed).unwrap()));
    measure("derive, seal and name", &|| drop(seal_chunk(&secret, plaintext.clone())));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn a_memory_file() {
    for disk in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        println!("cache on disk: {disk}");
        let parent_file = memory_file(&dir.path().join("parent"), |_| 0);
        let child_file = memory_file(&dir.path().join("child"), |n| u32::from(n % 17 == 0));
        let first = store(dir.path(), disk).await;
        let started = Instant::now();
        let parent = first.write(&layer(), parent_file).await.unwrap();
        println!("write 75 MiB in {} chunks: {:.1?}", parent.chunks_new, started.elapsed());

        for memory in ["cold", "warm"] {
            let store = store(dir.path(), disk).await;
            let parent = store.open(&layer(), &parent.id).await.unwrap();
            if memory == "warm" {
                parent.fetch_all().try_for_each(async |_| Ok(())).await.unwrap();
            }
            let owner = account(if memory == "cold" { 1 } else { 2 });
            let started = Instant::now();
            let child = child_file.try_clone().unwrap();
            let child = store.write_layer(&owner, child, &parent).await.unwrap();
            println!(
                "layer of {} own and {} shared chunks, parent {memory} in memory: {:.1?}",
                child.chunks_new,
                child.chunks_shared,
                started.elapsed()
            );
        }

        let again = store(dir.path(), disk).await;
        let parent = again.open(&layer(), &parent.id).await.unwrap();
        let started = Instant::now();
        parent.fetch_all().try_for_each(async |_| Ok(())).await.unwrap();
        let bytes = parent.chunks().own.bytes as usize;
        println!("fetch all: {}", rate(bytes, started.elapsed()));
        let pages: Vec<u32> = parent.extents().iter().map(|extent| extent.page).take(777).collect();
        let started = Instant::now();
        let pack = again.write_pack(&account(1), &parent, &pages).await.unwrap();
        println!("write a pack of {} chunks: {:.1?}", pack.chunks_new, started.elapsed());
        let fresh = store(dir.path(), disk).await;
        let started = Instant::now();
        let pack = fresh.open(&account(1), &pack.id).await.unwrap();
        pack.fetch_all().try_for_each(async |_| Ok(())).await.unwrap();
        println!("open and fetch the pack: {:.1?}", started.elapsed());
        let started = Instant::now();
        for extent in parent.extents() {
            parent.read_at(u64::from(extent.page) * PAGE_BYTES as u64, PAGE_BYTES).await.unwrap();
        }
        let reads = parent.extents().len() as u32;
        println!("read a page from memory: {:.1?}", started.elapsed() / reads);
    }
}
