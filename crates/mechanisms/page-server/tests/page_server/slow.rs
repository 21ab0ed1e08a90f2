//! Sources that are slow or broken are a matter of their own clones.

use crate::common::{PAGE, Stage, blocking, errno, page};
use crate::roles::{Kind, go, reference};
use crate::trial;
use hearth_page_server::Waits;
use libtest_mimic::Trial;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// More than the server has threads.
const READERS: usize = 24;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("slow::a_slow_source_holds_up_its_own_clone_only", own_clone_only),
        trial("slow::a_source_that_fails_is_an_error", failing),
        trial("slow::a_source_that_never_answers_is_an_error_in_time", never_answers),
        trial("slow::a_reader_of_a_file_that_is_removed_gets_an_error", removed_meanwhile),
    ]
}

async fn own_clone_only() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (_, expected) = stage.source(Kind::Plain, 600);
    let expected = Arc::new(expected);
    let path = stage.path("source");
    let slow = stage.file(600).await?;
    slow.bind(reference(Kind::Held, &path), None).await?;
    let quick = stage.file(600).await?;
    quick.bind(reference(Kind::Plain, &path), None).await?;
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (path, expected) = (slow.path().to_owned(), expected.clone());
            let wanted = 16 + 32 * (reader / 2) + reader % 2;
            tokio::spawn(blocking(move || {
                // As much as the kernel asks for at once, from some.
                if reader % 2 == 0 {
                    assert!(page(&File::open(path)?, wanted)? == expected[wanted * PAGE..][..PAGE]);
                } else {
                    std::fs::read(path)?;
                }
                Ok(())
            }))
        })
        .collect();
    while slow.stats().await?.requests < READERS as u64 / 2 {
        tokio::task::yield_now().await;
    }
    let other = quick.path().to_owned();
    let bytes = blocking(move || std::fs::read(other)).await?;
    assert!(bytes[..expected.len()] == expected[..]);
    assert!(readers.iter().all(|reader| !reader.is_finished()));
    std::fs::write(go(&path), "")?;
    for reader in readers {
        reader.await??;
    }
    Ok(())
}

async fn failing() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    for kind in [Kind::Broken, Kind::Short] {
        let (source, _) = stage.source(kind, 100);
        let clone = stage.file(100).await?;
        clone.bind(source, None).await?;
        let path = clone.path().to_owned();
        let read = blocking(move || page(&File::open(path)?, 20)).await;
        assert_eq!(errno(&read.unwrap_err()), Some(libc::EIO));
        let path = clone.path().to_owned();
        assert!(blocking(move || page(&File::open(path)?, 40)).await? == [0; PAGE], "a hole");
        assert!(clone.stats().await?.failures > 0);
    }
    Ok(())
}

async fn never_answers() -> anyhow::Result<()> {
    let waits = Waits { source: Duration::from_millis(50), ..Waits::default() };
    let stage = Stage::with(waits).await?;
    let (source, _) = stage.source(Kind::Held, 100);
    let clone = stage.file(100).await?;
    clone.bind(source, None).await?;
    let path = clone.path().to_owned();
    let read = blocking(move || page(&File::open(path)?, 20)).await;
    assert_eq!(errno(&read.unwrap_err()), Some(libc::EIO));
    Ok(())
}

async fn removed_meanwhile() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, _) = stage.source(Kind::Held, 100);
    for bound in [true, false] {
        let clone = stage.file(100).await?;
        if bound {
            clone.bind(source.clone(), None).await?;
        }
        let path = clone.path().to_owned();
        let reader = tokio::spawn(blocking(move || page(&File::open(path)?, 20)));
        while clone.stats().await?.requests == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!reader.is_finished());
        clone.finish().await?;
        assert_eq!(errno(&reader.await?.unwrap_err()), Some(libc::EIO));
    }
    Ok(())
}
