//! An object store that is far away, and whose log says when it was asked for what, by
//! any of several processes.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// To an origin and back.
pub const ROUND_TRIP: Duration = Duration::from_millis(36);

#[derive(Debug)]
pub struct Far {
    inner: Arc<dyn ObjectStore>,
    log: PathBuf,
}

/// One request, in microseconds of the clock.
#[derive(Clone, Debug)]
pub struct Asked {
    pub from: u64,
    pub to: u64,
    pub bytes: u64,
    pub what: String,
}

impl Far {
    pub fn over(inner: Arc<dyn ObjectStore>, log: PathBuf) -> Self {
        Self { inner, log }
    }
}

/// What the log of all processes says.
pub fn asked(log: &std::path::Path) -> Vec<Asked> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let mut all: Vec<Asked> = text
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut number = || words.next().unwrap().parse().unwrap();
            let (from, to, bytes) = (number(), number(), number());
            Asked { from, to, bytes, what: words.next().unwrap().to_owned() }
        })
        .collect();
    all.sort_by_key(|asked| asked.to);
    all
}

/// The most requests of which each began when the one before had ended: no chain of
/// requests that wait for each other is longer.
pub fn depth(all: &[Asked]) -> usize {
    let (mut depth, mut end) = (0, 0);
    // By their ends: the earliest that fits leaves most room.
    for asked in all {
        if asked.from >= end {
            depth += 1;
            end = asked.to;
        }
    }
    depth
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("far")
    }
}

#[async_trait]
impl ObjectStore for Far {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        let from = now_us();
        tokio::time::sleep(ROUND_TRIP).await;
        let got = self.inner.get_opts(at, how).await?;
        let (to, bytes) = (now_us(), got.meta.size);
        let mut log = File::options().create(true).append(true).open(&self.log).unwrap();
        // One write: lines of two processes do not mix.
        log.write_all(format!("{from} {to} {bytes} {at}\n").as_bytes()).unwrap();
        Ok(got)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
