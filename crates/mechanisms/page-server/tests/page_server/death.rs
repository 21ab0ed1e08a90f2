//! When the server dies nothing hangs, and nothing stays.

use crate::common::{Dir, Stage, blocking, errno, options, page};
use crate::roles::Kind;
use crate::trial;
use hearth_page_server::{PageServer, PageServerError, StartError};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How soon a blocked reader must know.
const NEWS_WAIT_MAX: Duration = Duration::from_secs(1);

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("death::a_blocked_reader_gets_an_error_when_the_server_is_killed", killed),
        trial("death::the_server_ends_with_its_last_handle", last_handle),
        trial("death::a_shut_down_server_leaves_nothing", shut_down),
        trial("death::what_a_killed_worker_left_is_taken_down", killed_worker),
        trial("death::a_program_that_is_no_server_is_an_error", no_server),
    ]
}

fn is_mounted(dir: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(&format!(" {} ", dir.join("files").display()))
}

async fn killed() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, _) = stage.source(Kind::Held, 100);
    let clone = stage.file(100).await?;
    clone.bind(source.clone(), None).await?;
    let path = clone.path().to_owned();
    let file = blocking(move || File::open(path)).await?;
    let other = file.try_clone()?;
    let reader = tokio::spawn(blocking(move || page(&file, 20)));
    while clone.stats().await?.requests == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!reader.is_finished() && is_mounted(&stage.path("pages")));
    let pid = Pid::from_raw(stage.server.pid() as i32).unwrap();
    let began = Instant::now();
    kill_process(pid, Signal::KILL)?;
    let read = reader.await?.unwrap_err();
    assert!(began.elapsed() < NEWS_WAIT_MAX, "{:?}", began.elapsed());
    assert!(
        matches!(errno(&read), Some(libc::ECONNABORTED | libc::EIO | libc::ENOTCONN)),
        "{read:?}"
    );
    let later = blocking(move || page(&other, 50)).await.unwrap_err();
    assert!(matches!(errno(&later), Some(libc::ENOTCONN | libc::EIO)), "{later:?}");
    let death = stage.server.died().await;
    assert_eq!(death.status.and_then(|status| status.signal()), Some(libc::SIGKILL));
    assert!(!is_mounted(&stage.path("pages")));
    assert!(matches!(clone.stats().await, Err(PageServerError::Gone)));
    assert!(matches!(clone.bind(source, None).await, Err(PageServerError::Gone)));
    assert!(stage.file(1).await.is_err());
    Ok(())
}

async fn last_handle() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let clone = stage.file(1).await?;
    let pages = stage.path("pages");
    let server = stage.server.clone();
    let died = tokio::spawn(async move { server.died().await });
    died.abort();
    let pid = stage.server.pid();
    drop(stage.server);
    drop(died);
    clone.stats().await?;
    drop(clone);
    while Path::new(&format!("/proc/{pid}")).exists() || is_mounted(&pages) {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn shut_down() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let (source, _) = stage.source(Kind::Held, 100);
    let clone = stage.file(100).await?;
    clone.bind(source, None).await?;
    let path = clone.path().to_owned();
    let reader = tokio::spawn(blocking(move || page(&File::open(path)?, 20)));
    while clone.stats().await?.requests == 0 {
        tokio::task::yield_now().await;
    }
    let death = stage.server.shutdown().await;
    assert_eq!(death.status.and_then(|status| status.code()), Some(0));
    reader.await?.unwrap_err();
    assert!(!is_mounted(&stage.path("pages")));
    // The same directory serves again.
    let again = PageServer::start(options(&stage.path("pages"))).await?;
    again.shutdown().await;
    Ok(())
}

async fn killed_worker() -> anyhow::Result<()> {
    let dir = Dir::new()?;
    let pages = dir.path().join("pages");
    let mut worker = Command::new(std::env::current_exe()?)
        .arg("parent")
        .arg(&pages)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(worker.stdout.take().unwrap()).read_line(&mut line)?;
    // It dies with the worker, but might see that it is gone, and clear up, just before.
    let server = Pid::from_raw(line.trim().parse()?).unwrap();
    kill_process(server, Signal::STOP)?;
    worker.kill()?;
    worker.wait()?;
    let served = format!("/proc/{}/exe", line.trim());
    // A zombie, if nobody waits for orphans here, has no program any more.
    while Path::new(&served).read_link().is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(is_mounted(&pages), "it had no time to take it down");
    let error = std::fs::metadata(pages.join("files")).unwrap_err();
    let gone = [Some(libc::ENOTCONN), Some(libc::ECONNABORTED)];
    assert!(gone.contains(&error.raw_os_error()), "{error}");
    let server = PageServer::start(options(&pages)).await?;
    std::fs::metadata(pages.join("files"))?;
    server.shutdown().await;
    assert!(!is_mounted(&pages));
    Ok(())
}

async fn no_server() -> anyhow::Result<()> {
    let dir = Dir::new()?;
    let start = |program: &str| {
        PageServer::start(hearth_page_server::StartOptions {
            program: program.into(),
            ..options(&dir.path().join("pages"))
        })
    };
    assert!(matches!(start("/nowhere").await.err(), Some(StartError::Spawn(_))));
    let ended = start("/bin/true").await.err();
    assert!(matches!(ended, Some(StartError::Server(PageServerError::Gone))), "{ended:?}");
    // A directory that cannot be had.
    std::fs::write(dir.path().join("pages"), "")?;
    let refused = PageServer::start(options(&dir.path().join("pages"))).await.err();
    assert!(
        matches!(refused, Some(StartError::Server(PageServerError::Refused(_)))),
        "{refused:?}"
    );
    Ok(())
}
