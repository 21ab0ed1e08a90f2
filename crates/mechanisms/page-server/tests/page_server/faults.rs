//! The memory of another process, served by its faults.

use crate::common::{PAGE, Stage, blocking, sum};
use crate::faulting::Faulting;
use crate::roles::{Kind, reference};
use crate::trial;
use hearth_page_server::{
    Access, CloneFile, FaultRegion, FileSpec, PageNo, PageServerError, Prefetch, Refusal,
};
use libtest_mimic::Trial;
use std::os::unix::process::ExitStatusExt;

const PAGES: usize = 600;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("faults::a_process_finds_the_file_in_its_memory", finds_the_file),
        trial("faults::pushed_pages_do_not_fault", pushed),
        trial("faults::memory_that_was_given_back_is_zeros", given_back),
        trial("faults::a_page_that_cannot_be_had_is_a_bus_error", bus_error),
        trial("faults::regions_that_cannot_be_are_refused", refused),
    ]
}

/// A process, the file that its memory is served from, and what is in it.
async fn faulting(stage: &Stage) -> anyhow::Result<(Faulting, CloneFile, Vec<u64>)> {
    let (_, mut bytes) = stage.source(Kind::Plain, PAGES as u64 - 50);
    bytes.resize(PAGES * PAGE, 0);
    let clone = stage.file(PAGES as u64).await?;
    let mut process = Faulting::start(PAGES)?;
    clone.serve_faults(process.uffd(), process.regions()).await?;
    Ok((process, clone, bytes.chunks(PAGE).map(sum).collect()))
}

async fn touch(mut process: Faulting, pages: Vec<usize>) -> anyhow::Result<(Faulting, Vec<u64>)> {
    blocking(move || {
        let (_, sums) = process.touch(&pages)?;
        Ok((process, sums))
    })
    .await
}

async fn remove(mut process: Faulting, pages: Vec<usize>) -> anyhow::Result<Faulting> {
    blocking(move || process.remove(&pages).map(|()| process)).await
}

async fn finds_the_file() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (process, clone, sums) = faulting(&stage).await?;
    // It faults before the file is bound.
    let touching = tokio::spawn(touch(process, (0..PAGES).rev().collect()));
    while clone.stats().await?.requests == 0 {
        tokio::task::yield_now().await;
    }
    clone.bind(reference(Kind::Plain, &stage.path("source")), None).await?;
    let (process, mut found) = touching.await??;
    found.reverse();
    assert!(found == sums);
    let stats = clone.stats().await?;
    assert_eq!((stats.pages, stats.failures), (PAGES as u64, 0), "each page once");
    assert_eq!(clone.finish().await?.touched.len(), PAGES);
    assert!(blocking(|| process.end()).await?.success());
    Ok(())
}

async fn pushed() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (process, clone, sums) = faulting(&stage).await?;
    let pages: Vec<usize> = (16..32).chain(80..85).collect();
    let source = std::fs::read(stage.path("source"))?;
    let pack: Vec<u8> =
        pages.iter().flat_map(|page| &source[page * PAGE..][..PAGE]).copied().collect();
    std::fs::write(stage.path("pack"), pack)?;
    let prefetch = Prefetch {
        pack: Some(reference(Kind::Plain, &stage.path("pack"))),
        pages: pages.iter().map(|page| PageNo(*page as u32)).collect(),
        zeros: vec![PageNo(0), PageNo(599)],
    };
    clone.bind(reference(Kind::Plain, &stage.path("source")), Some(prefetch)).await?;
    let report = clone.prefetched().await?;
    assert_eq!((report.pages, report.whole), (pages.len() as u64 + 2, true));
    let wanted = [&pages[..], &[0, 599]].concat();
    let (process, found) = touch(process, wanted.clone()).await?;
    assert!(found.iter().zip(&wanted).all(|(found, page)| *found == sums[*page]));
    assert_eq!(clone.stats().await?.requests, 0);
    let (process, found) = touch(process, vec![100]).await?;
    assert_eq!((found[0], clone.stats().await?.requests), (sums[100], 1));
    drop(clone);
    assert!(blocking(|| process.end()).await?.success());
    Ok(())
}

async fn given_back() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (process, clone, sums) = faulting(&stage).await?;
    // One of them before it was ever there.
    let process = remove(process, vec![20]).await?;
    let source = std::fs::read(stage.path("source"))?;
    std::fs::write(stage.path("pack"), &source[20 * PAGE..22 * PAGE])?;
    let prefetch = Prefetch {
        pack: Some(reference(Kind::Plain, &stage.path("pack"))),
        pages: vec![PageNo(20), PageNo(21)],
        zeros: vec![],
    };
    clone.bind(reference(Kind::Plain, &stage.path("source")), Some(prefetch)).await?;
    clone.prefetched().await?;
    let wanted = vec![20, 21, 22, 23];
    let (process, found) = touch(process, wanted.clone()).await?;
    assert_eq!(found, [0, sums[21], sums[22], sums[23]]);
    let process = remove(process, vec![21, 22]).await?;
    let (process, found) = touch(process, wanted).await?;
    assert_eq!(found, [0, 0, 0, sums[23]]);
    assert!(blocking(|| process.end()).await?.success());
    Ok(())
}

async fn bus_error() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (process, clone, _) = faulting(&stage).await?;
    clone.bind(reference(Kind::Broken, &stage.path("source")), None).await?;
    let ended = blocking(move || {
        let mut process = process;
        assert!(process.touch(&[20]).is_err());
        process.end()
    })
    .await?;
    assert_eq!(ended.signal(), Some(libc::SIGBUS));
    assert!(clone.stats().await?.failures > 0);
    Ok(())
}

async fn refused() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let read_only = stage.file(10).await?;
    let spec =
        FileSpec { size: 10 * PAGE as u64, writable: true, uid: Some(0), access: Access::Mapped };
    let written = stage.server.create(spec).await?;
    let region = FaultRegion { address: 0x10_0000, offset: 0, len: 10 * PAGE as u64 };
    let beyond = FaultRegion { offset: PAGE as u64, ..region };
    for (clone, regions) in
        [(&read_only, vec![beyond]), (&read_only, vec![region, region]), (&written, vec![region])]
    {
        let fd = std::fs::File::open("/dev/null")?.into();
        let served = clone.serve_faults(fd, regions).await;
        assert!(matches!(served, Err(PageServerError::Refused(Refusal::Faults(_)))), "{served:?}");
    }
    // What is no userfaultfd cannot be watched.
    let served = read_only.serve_faults(std::fs::File::open("/dev/null")?.into(), vec![region]);
    assert!(matches!(served.await, Err(PageServerError::Refused(Refusal::Faults(_)))));
    Ok(())
}
