//! The files of one log: `DIR/POSITION.log`, where POSITION is that of the
//! file's first byte. Only the newest is written; the oldest goes when there
//! are too many.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Largest segment.
pub const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most segments of one log. Together: 16 MiB per function.
pub const SEGMENTS_MAX: usize = 2;
/// How often a read starts over because the segment it wanted was dropped.
const READ_TRIES_MAX: usize = 3;

const EXTENSION: &str = "log";
const POSITION_DIGITS: usize = 20;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    pub(crate) written: SystemTime,
    path: PathBuf,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.bytes
    }
}

/// The segments in `dir`, oldest first; none if it does not exist. Files of
/// other names are not ours and stay.
pub(crate) fn segments(dir: &Path) -> io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some(start) = parse_name(&path) else { continue };
        match path.metadata() {
            Ok(meta) => {
                found.push(Segment { start, bytes: meta.len(), written: meta.modified()?, path });
            }
            // Dropped since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|segment| segment.start);
    Ok(found)
}

fn parse_name(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    let ours = path.extension()? == EXTENSION
        && stem.len() == POSITION_DIGITS
        && stem.bytes().all(|b| b.is_ascii_digit());
    if ours { stem.parse().ok() } else { None }
}

fn segment_path(dir: &Path, start: u64) -> PathBuf {
    dir.join(format!("{start:0POSITION_DIGITS$}.{EXTENSION}"))
}

/// Appends `batch`, which is smaller than a segment, and drops what is over
/// the bounds. On an error some of the batch may have been written.
pub(crate) fn append(dir: &Path, batch: &[u8]) -> io::Result<()> {
    let mut segments = segments(dir)?;
    let (path, is_new) = match segments.last() {
        Some(last) if last.bytes + batch.len() as u64 <= SEGMENT_BYTES_MAX => {
            (last.path.clone(), false)
        }
        Some(last) => (segment_path(dir, last.end()), true),
        None => {
            std::fs::create_dir_all(dir)?;
            (segment_path(dir, 0), true)
        }
    };
    if is_new {
        // First, so that there is never one too many, and room on a full disk.
        while segments.len() >= SEGMENTS_MAX {
            std::fs::remove_file(segments.remove(0).path)?;
        }
    }
    File::options().append(true).create(true).open(path)?.write_all(batch)
}

/// Bytes from position `from` on, at most `limit`, and the position of the
/// first of them. A position that is gone means the oldest byte kept; one
/// that was never reached means that the log began anew, and so does the read.
pub(crate) fn read(dir: &Path, from: u64, limit: usize) -> io::Result<(u64, Vec<u8>)> {
    let mut tries = 1;
    loop {
        match try_read(dir, from, limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < READ_TRIES_MAX => {
                tries += 1;
            }
            result => return result,
        }
    }
}

fn try_read(dir: &Path, from: u64, limit: usize) -> io::Result<(u64, Vec<u8>)> {
    let segments = segments(dir)?;
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return Ok((0, Vec::new()));
    };
    let kept = first.start..=last.end();
    let start = if kept.contains(&from) { from } else { first.start };
    let mut bytes = Vec::new();
    for segment in segments.iter().filter(|segment| segment.end() > start) {
        let position = start + bytes.len() as u64;
        let mut file = File::open(&segment.path)?;
        file.seek(SeekFrom::Start(position - segment.start))?;
        file.take((limit - bytes.len()) as u64).read_to_end(&mut bytes)?;
        if bytes.len() == limit {
            break;
        }
    }
    Ok((start, bytes))
}

/// Removes the segment at `start`, unless it was written to after `seen`, and the
/// directory with the last one. Whether it did.
pub(crate) fn remove(dir: &Path, start: u64, seen: SystemTime) -> io::Result<bool> {
    let segments = segments(dir)?;
    let Some(segment) = segments.iter().find(|s| s.start == start && s.written == seen) else {
        return Ok(false);
    };
    std::fs::remove_file(&segment.path)?;
    match std::fs::remove_dir(dir) {
        // It holds other segments, or files that are not ours.
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_segment_goes_and_positions_stay() {
        let dir = tempfile::tempdir().unwrap();
        let batch = vec![b'x'; SEGMENT_BYTES_MAX as usize / 2];
        for _ in 0..5 {
            append(dir.path(), &batch).unwrap();
        }
        let kept = segments(dir.path()).unwrap();
        let starts: Vec<u64> = kept.iter().map(|segment| segment.start).collect();
        assert_eq!(starts, [SEGMENT_BYTES_MAX, 2 * SEGMENT_BYTES_MAX]);
        let (start, bytes) = read(dir.path(), 0, 10).unwrap();
        assert_eq!((start, bytes.len()), (SEGMENT_BYTES_MAX, 10));
        let end = kept.last().unwrap().end();
        assert_eq!(read(dir.path(), end, 10).unwrap(), (end, Vec::new()));
        assert_eq!(read(dir.path(), end + 1, 10).unwrap().0, SEGMENT_BYTES_MAX, "began anew");
    }

    #[test]
    fn a_read_crosses_segments() {
        let dir = tempfile::tempdir().unwrap();
        let batch: Vec<u8> = (0..SEGMENT_BYTES_MAX).map(|i| i as u8).collect();
        append(dir.path(), &batch).unwrap();
        append(dir.path(), b"next").unwrap();
        let (_, bytes) = read(dir.path(), SEGMENT_BYTES_MAX - 2, 100).unwrap();
        assert_eq!(bytes, [&batch[batch.len() - 2..], b"next"].concat());
    }

    proptest! {
        #[test]
        fn what_was_appended_is_read(
            batches in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20),
            from in 0u64..500,
            limit in 1usize..100,
        ) {
            let dir = tempfile::tempdir().unwrap();
            for batch in &batches {
                append(dir.path(), batch).unwrap();
            }
            let all = batches.concat();
            let start = if from <= all.len() as u64 { from as usize } else { 0 };
            let expected = &all[start..all.len().min(start + limit)];
            let (position, bytes) = read(dir.path(), from, limit).unwrap();
            prop_assert_eq!(position, start as u64);
            prop_assert_eq!(bytes, expected);
        }
    }
}
