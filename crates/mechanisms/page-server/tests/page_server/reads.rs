//! What is read from a file is what its source holds, and nothing else.

use crate::common::{PAGE, Stage, blocking, errno};
use crate::roles::Kind;
use crate::trial;
use hearth_page_server::{Access, FileSpec, PageServerError, Refusal};
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("reads::a_file_is_its_source_and_then_zeros", file_is_its_source),
        trial("reads::any_piece_of_a_file_can_be_read", any_piece),
        trial("reads::only_what_was_made_is_there_and_only_for_its_owner", only_what_was_made),
        trial("reads::a_removed_file_is_gone", removed),
        trial("reads::clones_of_one_source_have_no_inode_in_common", no_inode_in_common),
    ]
}

async fn file_is_its_source() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, mut expected) = stage.source(Kind::Plain, 300);
    let file = stage.file(320).await?;
    file.bind(source, None).await?;
    let path = file.path().to_owned();
    let bytes = blocking(move || std::fs::read(path)).await?;
    expected.resize(320 * PAGE, 0);
    assert!(bytes == expected);
    let stats = file.stats().await?;
    assert_eq!(stats.source_pages + stats.zero_pages, 320, "each page once: {stats:?}");
    let stretches = expected.chunks(16 * PAGE).filter(|s| s.iter().any(|b| *b != 0)).count();
    assert!(stats.source_pages <= 16 * stretches as u64, "holes are not read: {stats:?}");
    assert_eq!(file.finish().await?.touched.len(), 320);
    Ok(())
}

async fn any_piece() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, mut expected) = stage.source(Kind::Plain, 100);
    expected.resize(120 * PAGE, 0);
    let clone = stage.file(120).await?;
    clone.bind(source, None).await?;
    let path = clone.path().to_owned();
    blocking(move || {
        let cached = File::open(&path)?;
        let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path)?;
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..300 {
            let start = random.random_range(0..expected.len() + PAGE);
            let len = random.random_range(0..40 * PAGE);
            let end = (start + len).min(expected.len());
            let wanted = expected.get(start..end).unwrap_or_default();
            for file in [&cached, &direct] {
                let mut bytes = vec![0; len];
                let got = file.read_at(&mut bytes, start as u64)?;
                // A read of the device may stop early, at a page's end.
                assert!(got == wanted.len() || got > 0, "{got} of {} at {start}", wanted.len());
                assert!(bytes[..got] == wanted[..got], "{start}, {len}");
            }
        }
        let end = direct.read_at(&mut [0; PAGE], i64::MAX as u64 & !(PAGE as u64 - 1));
        assert!(matches!(end, Ok(0) | Err(_)));
        Ok(())
    })
    .await
}

async fn only_what_was_made() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let uid = 2_000_123;
    let mut clones = Vec::new();
    for writable in [false, true] {
        clones.push(
            stage
                .server
                .create(FileSpec { size: 4096, writable, uid: Some(uid), access: Access::Mapped })
                .await?,
        );
    }
    for (clone, mode) in clones.iter().zip([0o100_400, 0o100_600]) {
        let path = clone.path().to_owned();
        let metadata = blocking(move || std::fs::metadata(path)).await?;
        assert_eq!((metadata.mode(), metadata.uid(), metadata.size()), (mode, uid, 4096));
        assert_eq!(metadata.ino(), clone.id().0);
    }
    let read_only = clones[0].path().to_owned();
    let dir = read_only.parent().unwrap().to_owned();
    let outside = std::fs::metadata(dir.parent().unwrap())?;
    assert_eq!(outside.mode() & 0o777, 0o700, "only root gets there");
    blocking(move || {
        let write = OpenOptions::new().write(true).open(&read_only);
        assert_eq!(write.unwrap_err().raw_os_error(), Some(libc::EROFS));
        let name = read_only.file_name().unwrap().to_str().unwrap().to_owned();
        for other in [format!("0{name}"), format!("+{name}"), "1".into(), "9999".into(), "x".into()]
        {
            let open = File::open(dir.join(&other));
            assert_eq!(open.unwrap_err().raw_os_error(), Some(libc::ENOENT), "{other}");
        }
        File::create(dir.join("new")).unwrap_err();
        std::fs::remove_file(&read_only).unwrap_err();
        std::fs::set_permissions(&read_only, Permissions::from_mode(0o777)).unwrap_err();
        assert_eq!(std::fs::read_dir(&dir)?.count(), 0, "names are not told");
        Ok(())
    })
    .await?;
    for size in [0, 1, 4097, u64::MAX, !4095] {
        let made = stage
            .server
            .create(FileSpec { size, writable: false, uid: Some(uid), access: Access::Mapped })
            .await;
        let Err(PageServerError::Refused(Refusal::Create(_))) = made else {
            panic!("{size}: {made:?}")
        };
    }
    Ok(())
}

async fn removed() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, expected) = stage.source(Kind::Plain, 100);
    let clone = stage.file(100).await?;
    clone.bind(source.clone(), None).await?;
    let path = clone.path().to_owned();
    let open = path.clone();
    let file = blocking(move || {
        let file = File::open(open)?;
        assert!(crate::common::page(&file, 20)? == expected[20 * PAGE..21 * PAGE]);
        Ok(file)
    })
    .await?;
    let again = clone.bind(source, None).await;
    assert!(matches!(again, Err(PageServerError::Refused(Refusal::Bind(_)))), "{again:?}");
    let id = clone.id();
    drop(clone);
    // The removal is under way; an order after it comes after it.
    let next = stage.file(1).await?;
    assert!(next.id().0 > id.0, "no number is used again");
    let gone = blocking(move || {
        let opened = loop {
            match File::open(&path) {
                Ok(_) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(opened.raw_os_error(), Some(libc::ENOENT));
        crate::common::page(&file, 50)
    });
    assert_eq!(errno(&gone.await.unwrap_err()), Some(libc::EIO));
    drop(next);
    // Nobody has them open, so the kernel holds no page of them any more.
    while stage.server.files_known().await? > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn no_inode_in_common() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, expected) = stage.source(Kind::Plain, 100);
    let clones = [stage.file(100).await?, stage.file(100).await?];
    assert_ne!(clones[0].id(), clones[1].id());
    for clone in &clones {
        clone.bind(source.clone(), None).await?;
        let (path, expected) = (clone.path().to_owned(), expected.clone());
        blocking(move || {
            let file = File::open(path)?;
            assert!(crate::common::page(&file, 20)? == expected[20 * PAGE..21 * PAGE]);
            Ok(())
        })
        .await?;
        // The second asked for it as well: the kernel shared nothing.
        assert_eq!(clone.stats().await?.source_pages, 1);
    }
    Ok(())
}
