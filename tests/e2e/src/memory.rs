//! What a VMM's guest takes of the host: pages of physical memory, and files.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Bytes of a page, and of its entry in `pagemap`.
const PAGE_BYTES: u64 = 4096;
const ENTRY_BYTES: u64 = 8;
/// `pagemap`: the page is in memory.
const PRESENT: u64 = 1 << 63;
/// `pagemap`: where.
const FRAME: u64 = (1 << 55) - 1;

/// What a process holds at one moment.
#[derive(Debug)]
pub struct Held {
    /// Frames of physical memory that its largest writable mapping of a file has: a
    /// guest's memory.
    pub frames: BTreeSet<u64>,
    /// Regular files that it has open or mapped writable: device, number.
    pub files: BTreeSet<(u64, u64)>,
}

/// A line of `maps`: `START-END PERMS OFFSET DEV INODE PATH`.
struct Mapping {
    start: u64,
    end: u64,
    writable: bool,
    device: u64,
    inode: u64,
}

impl Held {
    /// Looks at a process; this needs root.
    pub fn of(pid: i32) -> Result<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let of_files = maps.lines().filter_map(parse).filter(|m| m.writable && m.inode != 0);
        // Libraries have writable data too, each process its own copy.
        let memory = of_files.max_by_key(|m| m.end - m.start).context("no memory is mapped")?;
        let mut files = open_files(pid)?;
        files.insert((memory.device, memory.inode));
        Ok(Self { frames: frames(pid, &memory)?, files })
    }
}

fn frames(pid: i32, mapping: &Mapping) -> Result<BTreeSet<u64>> {
    let pagemap = fs::File::open(format!("/proc/{pid}/pagemap"))?;
    let pages = (mapping.end - mapping.start) / PAGE_BYTES;
    let mut entries = vec![0; (pages * ENTRY_BYTES) as usize];
    pagemap.read_exact_at(&mut entries, mapping.start / PAGE_BYTES * ENTRY_BYTES)?;
    let entries = entries.chunks_exact(ENTRY_BYTES as usize);
    let entries = entries.map(|entry| u64::from_le_bytes(entry.try_into().expect("eight bytes")));
    let frames: BTreeSet<u64> = entries.filter(|e| e & PRESENT != 0).map(|e| e & FRAME).collect();
    ensure!(!frames.contains(&0), "only root is told frames");
    Ok(frames)
}

fn open_files(pid: i32) -> Result<BTreeSet<(u64, u64)>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // It may be closed while we look.
        let Ok(about) = fs::metadata(entry?.path()) else { continue };
        if about.is_file() {
            files.insert((about.dev(), about.ino()));
        }
    }
    Ok(files)
}

fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let _offset = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (major, minor) = (u32::try_from(hex(major)?).ok()?, u32::try_from(hex(minor)?).ok()?);
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        writable: permissions.contains('w'),
        device: rustix::fs::makedev(major, minor),
        inode: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read() {
        let line = "7f00-8f00 rw-p 00000000 00:2f 17                 /a b (deleted)";
        let read = parse(line).unwrap();
        assert_eq!((read.start, read.end, read.inode), (0x7f00, 0x8f00, 17));
        assert!(read.writable && read.device == rustix::fs::makedev(0, 0x2f));
        assert!(parse("7f00-8f00 r--p 00000000 00:00 0").is_some_and(|m| !m.writable));
    }
}
