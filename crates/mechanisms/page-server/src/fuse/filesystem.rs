//! The file system's operations, as the kernel asks for them.

use super::REQUEST_BYTES_MAX;
use super::pending::PendingRead;
use crate::files::Files;
use crate::page::PageRun;
use crate::paged_file::PagedFile;
use crate::{Access, CloneId};
use bytes::Bytes;
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, KernelConfig, LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// No attribute of a file ever changes, and its name is taken back when it is
/// removed.
const ATTRIBUTES_VALID: Duration = Duration::from_secs(365 * 24 * 3600);
/// Requests that the kernel sends without anybody waiting for each, of all files
/// together. Low, it would let one file's slow source hold up the others.
const BACKGROUND_MAX: u16 = u16::MAX;

pub(super) struct CloneFiles {
    files: Arc<Files>,
}

impl CloneFiles {
    pub(super) fn new(files: Arc<Files>) -> Self {
        Self { files }
    }

    fn file(&self, ino: INodeNo) -> Option<Arc<PagedFile>> {
        self.files.get(CloneId(ino.0))
    }

    fn attributes(&self, ino: INodeNo) -> Option<FileAttr> {
        if ino == INodeNo::ROOT {
            return Some(attributes(ino, FileType::Directory, 0o555, 0, 0));
        }
        let file = self.file(ino)?;
        let spec = file.spec();
        let mode = match (spec.writable, spec.uid) {
            (false, Some(_)) => 0o400,
            (false, None) => 0o444,
            (true, Some(_)) => 0o600,
            (true, None) => 0o666,
        };
        Some(attributes(ino, FileType::RegularFile, mode, spec.uid.unwrap_or(0), spec.size))
    }
}

fn attributes(ino: INodeNo, kind: FileType, perm: u16, uid: u32, size: u64) -> FileAttr {
    const BLOCK_BYTES: u64 = 512;
    FileAttr {
        ino,
        size,
        blocks: size / BLOCK_BYTES,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid,
        gid: uid,
        rdev: 0,
        blksize: crate::PAGE_BYTES as u32,
        flags: 0,
    }
}

impl Filesystem for CloneFiles {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let refused = |limit: u32| io::Error::other(format!("the kernel's limit is {limit}"));
        // In bytes, and rounded down to pages: none.
        config.set_max_readahead(1).map_err(refused)?;
        config.set_max_write(REQUEST_BYTES_MAX).map_err(refused)?;
        config.set_max_background(BACKGROUND_MAX).map_err(|limit| refused(limit.into()))?;
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let id = name.to_str().and_then(|name| {
            let id: u64 = name.parse().ok()?;
            // One name each: no `+7`, no `007`.
            (parent == INodeNo::ROOT && id.to_string() == name).then_some(INodeNo(id))
        });
        match id.filter(|id| *id != INodeNo::ROOT).and_then(|id| self.attributes(id)) {
            Some(attributes) => {
                self.files.told(CloneId(attributes.ino.0));
                reply.entry(&ATTRIBUTES_VALID, &attributes, Generation(0));
            }

            None => reply.error(Errno::ENOENT),
        }
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        self.files.forgotten(CloneId(ino.0), times);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino) {
            Some(attributes) => reply.attr(&ATTRIBUTES_VALID, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// Times may be set, and are not kept; a size may be set to what it is.
    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let Some(attributes) = self.attributes(ino) else { return reply.error(Errno::ENOENT) };
        let changes = mode.is_some() || uid.is_some() || gid.is_some();
        if changes || size.is_some_and(|size| size != attributes.size) {
            return reply.error(Errno::EPERM);
        }
        reply.attr(&ATTRIBUTES_VALID, &attributes);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let Some(file) = self.file(ino) else { return reply.error(Errno::ENOENT) };
        // Root may open against the file's mode.
        if flags.acc_mode() != OpenAccMode::O_RDONLY && !file.spec().writable {
            return reply.error(Errno::EROFS);
        }
        let mut how = match file.spec().access {
            Access::Mapped => FopenFlags::FOPEN_KEEP_CACHE,
            Access::Direct => FopenFlags::FOPEN_DIRECT_IO,
        };
        how.set(FopenFlags::FOPEN_NOFLUSH, !file.spec().writable);
        // Nothing is kept for an opened file, so nothing bounds their number here.
        reply.opened(FileHandle(0), how);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.file(ino) else { return reply.error(Errno::EIO) };
        if size > REQUEST_BYTES_MAX {
            return reply.error(Errno::EINVAL);
        }
        let end = offset.saturating_add(size.into()).min(file.spec().size);
        let bytes = offset..end;
        let Some(run) = PageRun::holding(&bytes, file.spec().size) else {
            return reply.data(&[]);
        };
        let Some(permit) = file.admit() else { return reply.error(Errno::EBUSY) };
        file.read(run, Arc::new(PendingRead::new(run, &bytes, reply, permit)));
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Some(file) = self.file(ino) else { return reply.error(Errno::EIO) };
        let len = data.len() as u32;
        if len > REQUEST_BYTES_MAX {
            return reply.error(Errno::EINVAL);
        }
        if offset.checked_add(len.into()).is_none_or(|end| end > file.spec().size) {
            return reply.error(Errno::EFBIG);
        }
        let Some(permit) = file.admit() else { return reply.error(Errno::EBUSY) };
        file.write(offset, Bytes::copy_from_slice(data), move |result| {
            let _until_done = permit;
            match result {
                Ok(()) => reply.written(len),
                Err(_) => reply.error(Errno::EIO),
            }
        });
    }

    /// Every write is in the overlay before it is answered; the overlay is
    /// scratch, and need not outlive a crash.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    /// Names are for who was told them.
    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, reply: ReplyDirectory) {
        reply.ok();
    }

    fn lseek(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let Some(file) = self.file(ino) else { return reply.error(Errno::EIO) };
        let offset = u64::try_from(offset).ok().filter(|offset| *offset < file.spec().size);
        let found = match (offset, whence) {
            (None, libc::SEEK_DATA | libc::SEEK_HOLE) => return reply.error(Errno::ENXIO),
            (Some(offset), libc::SEEK_DATA) => file.next_data(offset).map(|data| data.start),
            (Some(offset), libc::SEEK_HOLE) => Some(file.next_hole(offset)),
            _ => return reply.error(Errno::EINVAL),
        };
        match found.and_then(|found| i64::try_from(found).ok()) {
            Some(found) => reply.offset(found),
            None => reply.error(Errno::ENXIO),
        }
    }
}
