//! Code as files of the chunk store: what packages that are nearly alike share, when
//! their files go, and what is read of damaged ones.

mod fixture;

use fixture::{Fixture, create, zip_of};
use futures_util::TryStreamExt;
use hearth_chunk_store::{ChunkName, Owner, ReadError, StoredFile};
use hearth_services::control::{Control, UpdateCode};
use hearth_types::FunctionVersion;
use std::collections::HashMap;

/// Files of the package, and their sizes: as `node_modules` has them, mostly small.
const FILES: usize = 1_500;
const SIZES: [usize; 8] = [300, 2_000, 9_000, 4_096, 70_000, 15_000, 120_000, 8_192];

/// Bytes that nothing compresses, by number.
fn noise(number: usize, len: usize) -> Vec<u8> {
    let block =
        |n: u32| *ChunkName::of(&[number as u32, n].map(u32::to_le_bytes).concat()).as_bytes();
    (0..).flat_map(block).take(len).collect()
}

fn package() -> Vec<(String, Vec<u8>)> {
    let file = |n: usize| {
        let name = format!("lib/package-{}/module-{n}.js", n % 83);
        (name, noise(n, SIZES[n % SIZES.len()]))
    };
    (0..FILES).map(file).collect()
}

async fn image_of(f: &Fixture, version: &FunctionVersion) -> StoredFile {
    let owner = Owner::Unknown(version.key.account.clone());
    f.chunks.open(&owner, &version.code.image_file.parse().unwrap()).await.unwrap()
}

/// The chunks of a version's image, and the bytes that they take.
async fn chunks_of(f: &Fixture, version: &FunctionVersion) -> HashMap<[u8; 32], u64> {
    let file = image_of(f, version).await;
    file.names().map(|(name, bytes)| (*name.as_bytes(), bytes)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_differ_in_one_file_share_nearly_all() {
    let f = Fixture::new();
    let before = package();
    let total: usize = before.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(total > 40 << 20, "{total} bytes");
    let mut request = create("f", "");
    request.zip = zip_of(&before);
    let made = f.control.create_function(&f.account, request).await.unwrap();
    let old = chunks_of(&f, &made).await;

    let mut shares = vec![];
    // Same size; some bytes fewer; blocks more, among the first, middle and last files.
    for (at, len) in
        [(0, 300), (1, 1_900), (2, 30_000), (745, 9_001), (747, 1), (1_490, 90_000), (1_493, 0)]
    {
        let mut after = before.clone();
        after[at].1 = noise(FILES + at, len);
        let zip = zip_of(&after);
        let update = UpdateCode { zip, publish: false, dry_run: false, if_revision: None };
        let updated = f.control.update_code(&f.account, &made.key.function, update).await.unwrap();
        let new = chunks_of(&f, &updated).await;
        let stored: u64 = new.values().sum();
        let shared: u64 = new.iter().filter(|(c, _)| old.contains_key(*c)).map(|(_, b)| b).sum();
        let share = shared as f64 / stored as f64;
        println!("file {at} of {len} bytes: {:.2} % of {stored} bytes are shared", share * 100.0);
        // Where chunks end is up to the salt, which is another each time: a single change
        // can meet two that lie far apart.
        assert!(share >= if len == before[at].1.len() { 0.95 } else { 0.9 }, "file {at}: {share}");
        shares.push(share);
        assert!(f.has_code_of(&updated).await);
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!(mean >= 0.95, "{shares:?}");
}

#[tokio::test]
async fn code_goes_when_nothing_names_it_and_nobody_reads_it() {
    let f = Fixture::new();
    let doomed = f.control.create_function(&f.account, create("doomed", "1")).await.unwrap();
    let kept = f.control.create_function(&f.account, create("kept", "2")).await.unwrap();
    f.control.delete_function(&f.account, &doomed.key.function, None).await.unwrap();
    let running = image_of(&f, &doomed).await;
    f.control.sweep().await.unwrap();
    f.collect().await;
    // A sandbox has it open.
    let read: Vec<_> = running.stream().try_collect().await.unwrap();
    assert_eq!(read.concat().len() as u64, doomed.code.image_bytes);
    assert!(f.file(&f.account, &doomed.code.zip_file).await.is_none(), "nobody has that");
    drop(running);
    f.collect().await;
    assert!(f.file(&f.account, &doomed.code.image_file).await.is_none());
    assert!(f.has_code_of(&kept).await);
    assert_eq!(f.chunk_files().len(), f.chunks_of(&kept).await);

    // The same package again is stored again.
    let again = f.control.create_function(&f.account, create("again", "1")).await.unwrap();
    assert!(f.has_code_of(&again).await);
}

#[tokio::test]
async fn damaged_code_is_not_read() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let image = image_of(&f, &made).await;
    for chunk in f.chunk_files() {
        let whole = std::fs::read(&chunk).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        std::fs::write(&chunk, damaged).unwrap();
        let read: Result<Vec<_>, _> = image.stream().try_collect().await;
        if image.names().any(|(name, _)| chunk.ends_with(name.to_string())) {
            assert!(matches!(read, Err(ReadError::Corrupt(_))), "{read:?}");
        } else {
            assert!(read.is_ok(), "the zip's: {read:?}");
        }
        std::fs::write(&chunk, whole).unwrap();
    }
    assert!(f.has_code_of(&made).await);
}
