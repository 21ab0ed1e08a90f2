//! The other processes: the server, with sources that can be slow or broken, and
//! one that maps a file.
#![allow(unsafe_code)]

use async_trait::async_trait;
use bytes::Bytes;
use hearth_page_server::{LocalFile, PAGE_BYTES, PageServer, Source, SourceRef, Sources};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Plays a role, if it is one.
pub(crate) fn play(role: &str) -> bool {
    match role {
        "serve" => {
            let served = hearth_page_server::runtime()
                .unwrap()
                .block_on(hearth_page_server::serve(Arc::new(TestSources)));
            if let Err(error) = served {
                eprintln!("{error:?}");
                std::process::exit(1);
            }
            std::process::exit(0);
        }
        "touch" => touch(),
        "fault" => crate::faulting::play(),
        "parent" => parent(),
        _ => return false,
    }
    true
}

/// How a source behaves.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Plain,
    /// Does not answer before a file with `.go` added to its name exists.
    Held,
    Broken,
    /// Answers with fewer bytes.
    Short,
}

/// A reference to a file that behaves so.
pub(crate) fn reference(kind: Kind, path: &std::path::Path) -> SourceRef {
    let path = path.to_str().unwrap();
    SourceRef(format!("{}{path}", kind as u8).into_bytes())
}

pub(crate) fn go(path: &std::path::Path) -> PathBuf {
    path.with_added_extension("go")
}

struct TestSources;

struct TestSource {
    kind: u8,
    go: PathBuf,
    file: LocalFile,
}

#[async_trait]
impl Sources for TestSources {
    async fn open(&self, reference: &SourceRef) -> io::Result<Arc<dyn Source>> {
        let text = std::str::from_utf8(&reference.0).map_err(io::Error::other)?;
        let (kind, path) = text.split_at(1);
        let file = LocalFile::new(File::open(path)?)?;
        let kind = kind.parse().map_err(io::Error::other)?;
        Ok(Arc::new(TestSource { kind, go: go(path.as_ref()), file }))
    }
}

#[async_trait]
impl Source for TestSource {
    fn size(&self) -> u64 {
        self.file.size()
    }
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        match self.kind {
            kind if kind == Kind::Held as u8 => {
                while !self.go.exists() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            kind if kind == Kind::Broken as u8 => return Err(io::Error::other("it is broken")),
            kind if kind == Kind::Short as u8 => return self.file.read_at(offset, len / 2).await,
            _ => {}
        }
        self.file.read_at(offset, len).await
    }
    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        self.file.next_data(offset)
    }
}

/// Maps a file as a VMM maps its guest's memory, waits for a line, touches pages
/// (comma-separated), and prints the microseconds that took and the first byte
/// of each.
fn touch() {
    let path = std::env::args().nth(2).unwrap();
    let pages = std::fs::read_to_string(std::env::args().nth(3).unwrap()).unwrap();
    let pages: Vec<usize> = pages.split(',').map(|page| page.parse().unwrap()).collect();
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, of a file that keeps its size.
    let memory =
        unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::PRIVATE, &file, 0).unwrap() };
    println!("mapped");
    io::stdin().read_line(&mut String::new()).unwrap();
    let began = Instant::now();
    let mut bytes = Vec::with_capacity(pages.len());
    for page in pages {
        let at = page * PAGE_BYTES as usize;
        assert!(at < len);
        // SAFETY: in the mapping. A page that cannot be had kills this process,
        // as is intended.
        bytes.push(unsafe { memory.cast::<u8>().add(at).read_volatile() });
    }
    println!("{}", began.elapsed().as_micros());
    println!("{bytes:?}");
}

/// Starts a server in the given directory, says its process id, and waits to be
/// killed.
fn parent() {
    let dir = std::env::args().nth(2).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = PageServer::start(crate::common::options(dir.as_ref())).await.unwrap();
        println!("{}", server.pid());
        std::future::pending::<()>().await;
    });
}
