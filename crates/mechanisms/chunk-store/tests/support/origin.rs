//! An object store in memory that counts, fails and hangs when told to.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

pub const PLENTY: usize = 1 << 20;

#[derive(Debug)]
pub struct Faulty {
    pub inner: InMemory,
    pub gets: AtomicU64,
    /// Chunks put; manifests and records are not counted.
    pub chunk_puts: AtomicU64,
    /// Objects that are said to be very old, until they are put again.
    pub old: Mutex<HashSet<Path>>,
    /// How much older others are said to be than they are.
    pub older: Mutex<HashMap<Path, Duration>>,
    /// Answers that fail from now on, counted down.
    pub fail_next: AtomicU64,
    pub hang: AtomicBool,
    /// What is put takes the place of what is there, whatever was asked for.
    pub unconditional: AtomicBool,
    /// Gets, deletions and puts of manifests each wait for one of these; plenty
    /// unless a test takes them.
    pub gate: Semaphore,
    /// The next get alone waits for this.
    pub hold_next_get: Mutex<Option<Arc<Semaphore>>>,
    pub delete_gate: Arc<Semaphore>,
    pub manifest_gate: Semaphore,
    /// How far tests have come that wait at a gate.
    pub deletes: Arc<AtomicU64>,
    pub manifest_puts: AtomicU64,
    /// Not zero: answers take their time, a different one each.
    pub dawdle: AtomicU64,
}

impl Default for Faulty {
    fn default() -> Self {
        Self {
            inner: InMemory::new(),
            gets: AtomicU64::new(0),
            chunk_puts: AtomicU64::new(0),
            old: Mutex::default(),
            older: Mutex::default(),
            fail_next: AtomicU64::new(0),
            hang: AtomicBool::new(false),
            unconditional: AtomicBool::new(false),
            gate: Semaphore::new(PLENTY),
            hold_next_get: Mutex::default(),
            delete_gate: Arc::new(Semaphore::new(PLENTY)),
            manifest_gate: Semaphore::new(PLENTY),
            deletes: Arc::default(),
            manifest_puts: AtomicU64::new(0),
            dawdle: AtomicU64::new(0),
        }
    }
}

impl Faulty {
    async fn misbehave(&self) -> Result<()> {
        if self.hang.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.dawdle.load(SeqCst) != 0 {
            let turn = self.dawdle.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
            for _ in 0..(turn >> 61) {
                tokio::task::yield_now().await;
            }
        }
        let failing = self.fail_next.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        match failing {
            Ok(_) => Err(Error::Generic { store: "faulty", source: "told to fail".into() }),
            Err(_) => Ok(()),
        }
    }

    /// Every object's path.
    pub async fn paths(&self) -> Vec<Path> {
        self.inner.list(None).map(|meta| meta.unwrap().location).collect().await
    }

    /// Every object's path and bytes. What goes meanwhile is left out.
    pub async fn objects(&self) -> Vec<(Path, Bytes)> {
        let mut objects = Vec::new();
        for path in self.paths().await {
            match self.inner.get(&path).await {
                Ok(got) => objects.push((path, got.bytes().await.unwrap())),
                Err(Error::NotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        objects
    }

    /// Makes all that is there old.
    pub async fn age(&self) {
        let all = self.paths().await;
        self.old.lock().unwrap().extend(all);
    }

    pub async fn put(&self, path: &Path, bytes: Bytes) {
        self.inner.put(path, bytes.into()).await.unwrap();
    }

    /// Objects of a kind: `chunks` or `manifests`.
    pub async fn count(&self, kind: &str) -> usize {
        self.paths().await.iter().filter(|path| path.as_ref().starts_with(kind)).count()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.misbehave().await?;
        if at.as_ref().starts_with("chunks") {
            self.chunk_puts.fetch_add(1, SeqCst);
        }
        if at.as_ref().starts_with("manifests") {
            self.manifest_puts.fetch_add(1, SeqCst);
            drop(self.manifest_gate.acquire().await.unwrap());
        }
        self.old.lock().unwrap().remove(at);
        self.older.lock().unwrap().remove(at);
        let how = if self.unconditional.load(SeqCst) { PutOptions::default() } else { how };
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
        if !how.head {
            self.gets.fetch_add(1, SeqCst);
            let held = self.hold_next_get.lock().unwrap().take();
            if let Some(gate) = held {
                drop(gate.acquire().await.unwrap());
            }
            drop(self.gate.acquire().await.unwrap());
        }
        self.misbehave().await?;
        let mut got = self.inner.get_opts(at, how).await?;
        if self.old.lock().unwrap().contains(at) {
            got.meta.last_modified = Default::default();
        } else if let Some(older) = self.older.lock().unwrap().get(at) {
            got.meta.last_modified -= *older;
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (gate, deletes) = (self.delete_gate.clone(), self.deletes.clone());
        let gated = paths.then(move |path| {
            let (gate, deletes) = (gate.clone(), deletes.clone());
            async move {
                deletes.fetch_add(1, SeqCst);
                drop(gate.acquire().await.unwrap());
                tokio::task::yield_now().await;
                path
            }
        });
        self.inner.delete_stream(gated.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let old = self.old.lock().unwrap().clone();
        let older = self.older.lock().unwrap().clone();
        let aged = self.inner.list(prefix).map(move |meta| {
            let mut meta = meta?;
            if old.contains(&meta.location) {
                meta.last_modified = Default::default();
            } else if let Some(older) = older.get(&meta.location) {
                meta.last_modified -= *older;
            }
            Ok(meta)
        });
        aged.boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
