//! Cuts what was read into whole lines.

use hearth_services::logs::{LOG_READ_BYTES_MAX, LogChunk};

/// A chunk of whole lines from `bytes`, which begin at `position`. A line that
/// is still being written stays for the next read; one that is longer than a
/// read can be is cut, at a character if it has any.
pub(crate) fn whole_lines(position: u64, bytes: &[u8]) -> LogChunk {
    let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => newline + 1,
        None if bytes.len() < LOG_READ_BYTES_MAX => 0,
        None => character_boundary(bytes),
    };
    LogChunk {
        text: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        next: position + end as u64,
    }
}

/// The end of the last whole UTF-8 character, or of all if it is not UTF-8.
fn character_boundary(bytes: &[u8]) -> usize {
    const CHARACTER_BYTES_MAX: usize = 4;
    let tail = bytes.len().saturating_sub(CHARACTER_BYTES_MAX);
    let is_start = |byte: &u8| *byte & 0xc0 != 0x80;
    match bytes[tail..].iter().rposition(is_start) {
        Some(start) if start > 0 && std::str::from_utf8(&bytes[tail + start..]).is_err() => {
            tail + start
        }
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_line_waits() {
        let chunk = whole_lines(10, b"one\ntwo\nthr");
        assert_eq!((&*chunk.text, chunk.next), ("one\ntwo\n", 18));
        assert_eq!(whole_lines(10, b"thr"), LogChunk { text: String::new(), next: 10 });
    }

    #[test]
    fn an_endless_line_is_cut_at_a_character() {
        let line = format!("{}é", "x".repeat(LOG_READ_BYTES_MAX - 1));
        let chunk = whole_lines(0, &line.as_bytes()[..LOG_READ_BYTES_MAX]);
        assert_eq!(chunk.next, LOG_READ_BYTES_MAX as u64 - 1);
        let garbage = vec![0xff; LOG_READ_BYTES_MAX];
        assert!(whole_lines(0, &garbage).next >= LOG_READ_BYTES_MAX as u64 - 1, "makes progress");
    }
}
