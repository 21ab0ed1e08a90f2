//! Binding late, and fetching ahead.

use crate::common::{PAGE, Stage, blocking, errno, page};
use crate::roles::{Kind, go, reference};
use crate::trial;
use hearth_page_server::{
    Access, FileSpec, PageNo, PageServerError, Prefetch, Refusal, SourceRef, Waits,
};
use libtest_mimic::Trial;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("bind::a_read_waits_for_the_bind", waits_for_the_bind),
        trial("bind::a_read_of_what_is_never_bound_fails_in_time", never_bound),
        trial("bind::pushed_pages_are_not_asked_for", pushed_pages),
        trial("bind::a_page_asked_for_comes_with_the_pack", comes_with_the_pack),
        trial("bind::what_is_read_while_it_is_pushed_is_right", read_while_pushed),
        trial("bind::without_its_pack_a_file_is_whole", lost_pack),
        trial("bind::what_cannot_be_fetched_ahead_is_refused", refused),
    ]
}

fn pack(path: &Path, source: &[u8], pages: &[usize]) {
    let mut bytes = Vec::new();
    for page in pages {
        bytes.extend_from_slice(&source[page * PAGE..source.len().min((page + 1) * PAGE)]);
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    }
    std::fs::write(path, bytes).unwrap();
}

fn prefetch(pack: SourceRef, pages: &[usize], zeros: &[usize]) -> Prefetch {
    let list = |pages: &[usize]| pages.iter().map(|page| PageNo(*page as u32)).collect();
    Prefetch { pack: Some(pack), pages: list(pages), zeros: list(zeros) }
}

async fn waits_for_the_bind() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, expected) = stage.source(Kind::Plain, 100);
    let clone = stage.file(100).await?;
    let path = clone.path().to_owned();
    let reader = tokio::spawn(blocking(move || page(&File::open(path)?, 20)));
    while clone.stats().await?.requests == 0 {
        assert!(!reader.is_finished());
        tokio::task::yield_now().await;
    }
    clone.bind(source, None).await?;
    assert!(reader.await?? == expected[20 * PAGE..21 * PAGE]);
    let stats = clone.stats().await?;
    assert_eq!((stats.requests, stats.failures), (1, 0));
    assert!(stats.bind_us.is_some());
    Ok(())
}

async fn never_bound() -> anyhow::Result<()> {
    let waits = Waits { bind: Duration::from_millis(50), ..Waits::default() };
    let stage = Stage::with(waits).await?;
    let clone = stage.file(100).await?;
    let path = clone.path().to_owned();
    let read = blocking(move || page(&File::open(path)?, 20)).await;
    assert_eq!(errno(&read.unwrap_err()), Some(libc::EIO));
    assert!(clone.stats().await?.failures > 0);
    Ok(())
}

async fn pushed_pages() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, mut expected) = stage.source(Kind::Plain, 600);
    expected.resize(600 * PAGE, 0);
    // In no order, some of them neighbours, more than one piece of a pack.
    let mut pages: Vec<usize> =
        (0..600).filter(|page| page / 16 % 2 == 1 && page % 3 != 0).collect();
    pages.reverse();
    pages.swap(3, 77);
    let zeros = [0, 1, 40, 33];
    pack(&stage.path("pack"), &expected, &pages);
    let clone = stage.file(600).await?;
    let ahead = prefetch(reference(Kind::Plain, &stage.path("pack")), &pages, &zeros);
    clone.bind(source, Some(ahead)).await?;
    let report = clone.prefetched().await?;
    assert_eq!((report.pages as usize, report.whole), (pages.len() + zeros.len(), true));
    let before = clone.stats().await?;
    assert_eq!((before.requests, before.source_bytes), (0, 0));
    assert_eq!(before.pack_bytes, (pages.len() * PAGE) as u64);
    let path = clone.path().to_owned();
    let wanted = [&pages[..], &zeros].concat();
    let other = 18;
    let file = blocking(move || {
        let file = File::open(path)?;
        for wanted in wanted {
            assert!(page(&file, wanted)? == expected[wanted * PAGE..(wanted + 1) * PAGE]);
        }
        Ok(file)
    })
    .await?;
    assert_eq!(clone.stats().await?.requests, 0, "none was asked for");
    blocking(move || page(&file, other)).await?;
    let log = clone.finish().await?;
    assert_eq!(log.touched, [PageNo(other as u32)]);
    assert_eq!(log.pushed.len(), pages.len() + zeros.len());
    Ok(())
}

async fn comes_with_the_pack() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, expected) = stage.source(Kind::Plain, 100);
    let held = stage.path("pack");
    pack(&held, &expected, &[20, 21]);
    let clone = stage.file(100).await?;
    clone.bind(source, Some(prefetch(reference(Kind::Held, &held), &[20, 21], &[]))).await?;
    let path = clone.path().to_owned();
    let reader = tokio::spawn(blocking(move || page(&File::open(path)?, 20)));
    while clone.stats().await?.joined_pages == 0 {
        assert!(!reader.is_finished());
        tokio::task::yield_now().await;
    }
    std::fs::write(go(&held), "")?;
    assert!(reader.await?? == expected[20 * PAGE..21 * PAGE]);
    assert_eq!(clone.prefetched().await?.pages, 1, "the other one");
    assert_eq!(clone.stats().await?.source_reads, 0);
    Ok(())
}

async fn read_while_pushed() -> anyhow::Result<()> {
    const PAGES: usize = 600;
    let stage = Stage::new().await?;
    let (source, mut expected) = stage.source(Kind::Plain, PAGES as u64);
    expected.resize(PAGES * PAGE, 0);
    let expected = Arc::new(expected);
    let mut pages: Vec<usize> = (0..PAGES).filter(|page| page / 16 % 2 == 1).collect();
    let mut random = StdRng::seed_from_u64(5);
    pages.shuffle(&mut random);
    pack(&stage.path("pack"), &expected, &pages);
    let zeros: Vec<usize> = (0..PAGES).filter(|page| page / 16 % 2 == 0).collect();
    let ahead = prefetch(reference(Kind::Plain, &stage.path("pack")), &pages, &zeros);
    for _ in 0..20 {
        let clone = stage.file(PAGES as u64).await?;
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (path, expected) = (clone.path().to_owned(), expected.clone());
                let mut order: Vec<usize> = (0..PAGES).collect();
                order.shuffle(&mut random);
                tokio::spawn(blocking(move || {
                    let file = File::open(path)?;
                    for wanted in order {
                        assert!(page(&file, wanted)? == expected[wanted * PAGE..][..PAGE]);
                    }
                    Ok(())
                }))
            })
            .collect();
        clone.bind(source.clone(), Some(ahead.clone())).await?;
        for reader in readers {
            reader.await??;
        }
        assert!(clone.prefetched().await?.whole);
        let stats = clone.stats().await?;
        assert_eq!(
            (stats.source_pages, stats.failures),
            (0, 0),
            "the pack has them all: {stats:?}"
        );
    }
    Ok(())
}

async fn lost_pack() -> anyhow::Result<()> {
    for kind in [Kind::Broken, Kind::Short] {
        let stage = Stage::new().await?;
        let (source, expected) = stage.source(Kind::Plain, 600);
        let pages: Vec<usize> = (0..600).filter(|page| page / 16 % 2 == 1).collect();
        pack(&stage.path("pack"), &expected, &pages);
        let clone = stage.file(600).await?;
        let path = clone.path().to_owned();
        // Some ask before.
        let early = tokio::spawn(blocking(move || page(&File::open(path)?, 20)));
        while clone.stats().await?.requests == 0 {
            tokio::task::yield_now().await;
        }
        let ahead = prefetch(reference(kind, &stage.path("pack")), &pages, &[]);
        clone.bind(source, Some(ahead)).await?;
        assert!(early.await?? == expected[20 * PAGE..21 * PAGE]);
        let report = clone.prefetched().await?;
        assert_eq!((report.pages, report.whole), (0, false));
        let path = clone.path().to_owned();
        let bytes = blocking(move || std::fs::read(path)).await?;
        assert!(bytes[..expected.len()] == expected);
    }
    Ok(())
}

async fn refused() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, expected) = stage.source(Kind::Plain, 100);
    pack(&stage.path("pack"), &expected, &[20, 21]);
    let pack = reference(Kind::Plain, &stage.path("pack"));
    let clone = stage.file(100).await?;
    let spec =
        FileSpec { size: 100 * PAGE as u64, writable: true, uid: Some(0), access: Access::Mapped };
    let written = stage.server.create(spec).await?;
    let outside = prefetch(pack.clone(), &[20, 100], &[]);
    let too_long = prefetch(pack.clone(), &[20, 21, 22], &[]);
    let no_pack = Prefetch { pack: None, ..prefetch(pack.clone(), &[20], &[]) };
    let zero_outside = prefetch(pack.clone(), &[20], &[u32::MAX as usize]);
    for ahead in [outside, too_long, no_pack, zero_outside] {
        let bound = clone.bind(source.clone(), Some(ahead)).await;
        assert!(matches!(bound, Err(PageServerError::Refused(Refusal::Bind(_)))), "{bound:?}");
    }
    let bound = written.bind(source.clone(), Some(prefetch(pack, &[20], &[]))).await;
    assert!(matches!(bound, Err(PageServerError::Refused(Refusal::Bind(_)))), "{bound:?}");
    let nowhere = reference(Kind::Plain, &stage.path("nowhere"));
    let bound = clone.bind(nowhere, None).await;
    assert!(matches!(bound, Err(PageServerError::Refused(Refusal::Source(_)))), "{bound:?}");
    let long = Prefetch { pages: vec![PageNo(u32::MAX); 300_000], ..Prefetch::default() };
    let bound = clone.bind(source.clone(), Some(long)).await;
    assert!(matches!(bound, Err(PageServerError::TooLong(_))), "{bound:?}");
    // After all that it can still be bound.
    Ok(clone.bind(source, None).await?)
}
