//! What was appended to one log and is not yet written.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes that wait for the disk, for one log.
pub(crate) const BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Most bytes that wait for the disk, for all logs together.
pub(crate) const BUFFERS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A bounded buffer that counts what it had to drop.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    dropped_bytes: u64,
}

impl Buffer {
    /// Adds `bytes`, or drops them if there is no room. Once something was
    /// dropped, so is all until the next `take`: the gap is in one place.
    pub(crate) fn push(&mut self, bytes: &[u8], in_all_buffers: &AtomicUsize) {
        let fits = self.bytes.len() + bytes.len() <= BUFFER_BYTES_MAX
            && in_all_buffers.load(Ordering::Relaxed) + bytes.len() <= BUFFERS_BYTES_MAX;
        if fits && self.dropped_bytes == 0 {
            in_all_buffers.fetch_add(bytes.len(), Ordering::Relaxed);
            self.bytes.extend_from_slice(bytes);
        } else {
            self.dropped_bytes += bytes.len() as u64;
        }
    }

    /// Whether it should be written soon, lest something is dropped.
    pub(crate) fn fills_up(&self) -> bool {
        self.bytes.len() >= BUFFER_BYTES_MAX / 2
    }

    /// Counts bytes that got lost after they were taken.
    pub(crate) fn lost(&mut self, bytes: u64) {
        self.dropped_bytes += bytes;
    }

    /// All that waits, in the form in which it goes to disk, and how many
    /// bytes of the function's own it stands for.
    pub(crate) fn take(&mut self, in_all_buffers: &AtomicUsize) -> (Vec<u8>, u64) {
        let mut bytes = std::mem::take(&mut self.bytes);
        in_all_buffers.fetch_sub(bytes.len(), Ordering::Relaxed);
        let dropped_bytes = std::mem::take(&mut self.dropped_bytes);
        let stands_for = bytes.len() as u64 + dropped_bytes;
        if dropped_bytes > 0 {
            if bytes.last().is_some_and(|last| *last != b'\n') {
                bytes.push(b'\n');
            }
            let marker = format!("[hearth] {dropped_bytes} bytes of log dropped\n");
            bytes.extend_from_slice(marker.as_bytes());
        }
        (bytes, stands_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_in_one_marker() {
        let all = AtomicUsize::new(0);
        let mut buffer = Buffer::default();
        buffer.push(&[b'x'; BUFFER_BYTES_MAX - 1], &all);
        buffer.push(b"does not fit", &all);
        buffer.push(b"y", &all);
        let (bytes, stands_for) = buffer.take(&all);
        assert_eq!(stands_for, BUFFER_BYTES_MAX as u64 - 1 + 13);
        assert!(bytes.ends_with(b"x\n[hearth] 13 bytes of log dropped\n"));
        assert_eq!(all.load(Ordering::Relaxed), 0);
        buffer.push(b"z", &all);
        assert_eq!(buffer.take(&all), (b"z".to_vec(), 1));
    }

    #[test]
    fn all_buffers_together_are_bounded() {
        let all = AtomicUsize::new(BUFFERS_BYTES_MAX);
        let mut buffer = Buffer::default();
        buffer.push(b"x", &all);
        assert_eq!(buffer.take(&all).0, b"[hearth] 1 bytes of log dropped\n");
    }
}
