//! What is written to a clone is read from it, and from nothing else.
#![allow(unsafe_code)]

use crate::common::{PAGE, Stage, blocking};
use crate::roles::Kind;
use crate::trial;
use hearth_page_server::{Access, FileSpec};
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::fs::{SeekFrom, seek};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("writes::a_clone_reads_what_was_written_to_it", reads_what_was_written),
        trial("writes::memory_that_is_mapped_and_shared_is_written", shared_memory),
        trial("writes::a_file_keeps_its_size", keeps_its_size),
        trial("writes::data_and_holes_are_told_apart", data_and_holes),
    ]
}

fn spec(pages: usize) -> FileSpec {
    FileSpec { size: (pages * PAGE) as u64, writable: true, uid: Some(0), access: Access::Mapped }
}

async fn reads_what_was_written() -> anyhow::Result<()> {
    const PAGES: usize = 120;
    let stage = Stage::new().await?;
    let (source, mut expected) = stage.source(Kind::Plain, 100);
    let unwritten = expected.clone();
    expected.resize(PAGES * PAGE, 0);
    let (clone, other) =
        (stage.server.create(spec(PAGES)).await?, stage.server.create(spec(PAGES)).await?);
    clone.bind(source.clone(), None).await?;
    other.bind(source, None).await?;
    let path = clone.path().to_owned();
    blocking(move || {
        let mut random = StdRng::seed_from_u64(11);
        let mut open = OpenOptions::new();
        open.read(true).write(true);
        let cached = open.open(&path)?;
        let direct = open.custom_flags(libc::O_DIRECT).open(&path)?;
        for round in 0..200 {
            let start = random.random_range(0..expected.len());
            let len = random.random_range(0..3 * PAGE).min(expected.len() - start);
            let file = if round % 3 == 0 { &direct } else { &cached };
            random.fill(&mut expected[start..start + len]);
            file.write_all_at(&expected[start..start + len], start as u64)?;
            let from = random.random_range(0..expected.len() - PAGE);
            let mut bytes = vec![0; PAGE];
            cached.read_exact_at(&mut bytes, from as u64)?;
            assert!(bytes == expected[from..from + PAGE], "round {round}");
        }
        let mut bytes = vec![0; expected.len()];
        direct.read_exact_at(&mut bytes, 0)?;
        assert!(bytes == expected);
        assert!(std::fs::read(&path)? == expected);
        Ok(())
    })
    .await?;
    let path = other.path().to_owned();
    let bytes = blocking(move || std::fs::read(path)).await?;
    assert!(bytes[..unwritten.len()] == unwritten, "the other clone has none of it");
    assert!(std::fs::read(stage.path("source"))? == unwritten, "nor has the source");
    assert!(clone.stats().await?.written_bytes > 0);
    Ok(())
}

/// As a guest's memory is that is to be captured again.
async fn shared_memory() -> anyhow::Result<()> {
    const PAGES: usize = 64;
    let stage = Stage::new().await?;
    let (source, mut expected) = stage.source(Kind::Plain, PAGES as u64);
    expected.resize(PAGES * PAGE, 0);
    let clone = stage.server.create(spec(PAGES)).await?;
    clone.bind(source, None).await?;
    let path = clone.path().to_owned();
    let capture = move || {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let len = PAGES * PAGE;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping of a file that keeps its size, of which nothing is
        // written but through this slice.
        let memory = unsafe {
            let at = mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, &file, 0)?;
            std::slice::from_raw_parts_mut(at.cast::<u8>(), len)
        };
        for at in [1, 20 * PAGE + 7, 63 * PAGE] {
            memory[at] = !expected[at];
            expected[at] = memory[at];
        }
        // From here, while it is mapped.
        assert!(std::fs::read(&path)? == expected);
        // SAFETY: the mapping above, whose slice is used no more.
        unsafe { munmap(memory.as_mut_ptr().cast(), len)? };
        file.sync_all()?;
        // From the server: the kernel keeps no page of it now.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        let mut bytes = vec![0; len];
        let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path)?;
        direct.read_exact_at(&mut bytes, 0)?;
        assert!(bytes == expected);
        Ok(())
    };
    blocking(capture).await?;
    assert_eq!(clone.stats().await?.written_bytes, 3 * PAGE as u64);
    Ok(())
}

async fn keeps_its_size() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, _) = stage.source(Kind::Plain, 10);
    let clone = stage.server.create(spec(10)).await?;
    clone.bind(source, None).await?;
    let path = clone.path().to_owned();
    blocking(move || {
        let file = OpenOptions::new().write(true).open(&path)?;
        let end = (10 * PAGE) as u64;
        let beyond = file.write_at(b"x", end).unwrap_err();
        assert_eq!(beyond.raw_os_error(), Some(libc::EFBIG));
        file.write_all_at(b"x", end - 1)?;
        file.set_len(end)?;
        file.set_len(end - 1).unwrap_err();
        file.set_len(end + 1).unwrap_err();
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap_err();
        file.sync_all()?;
        assert_eq!(file.metadata()?.len(), end);
        Ok(())
    })
    .await
}

async fn data_and_holes() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, _) = stage.source(Kind::Plain, 64);
    let clone = stage.server.create(spec(100)).await?;
    clone.bind(source, None).await?;
    let path = clone.path().to_owned();
    blocking(move || {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        // Data: 16 to 31 and 48 to 63 of the source; 8, 32 and 90 are written.
        for page in [8, 32, 90] {
            file.write_all_at(&[1; PAGE], (page * PAGE) as u64)?;
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Ok(data) = seek(&file, SeekFrom::Data(from)) {
            from = seek(&file, SeekFrom::Hole(data))?;
            found.push((data as usize / PAGE, (from as usize).div_ceil(PAGE)));
        }
        assert_eq!(found, [(8, 9), (16, 33), (48, 64), (90, 91)]);
        Ok(())
    })
    .await?;
    let empty = stage.file(10).await?;
    let path = empty.path().to_owned();
    blocking(move || {
        let file = File::open(path)?;
        assert_eq!(seek(&file, SeekFrom::Data(5))?, 5, "not bound yet: nobody knows");
        Ok(())
    })
    .await
}
