//! The end of an invocation's log, for `LogType: Tail`.

use bytes::Bytes;
use hearth_types::LOG_TAIL_BYTES_MAX;

/// Keeps the last [`LOG_TAIL_BYTES_MAX`] bytes of what is pushed.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(LOG_TAIL_BYTES_MAX)..];
        let over = (self.0.len() + bytes.len()).saturating_sub(LOG_TAIL_BYTES_MAX);
        self.0.drain(..over);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end() {
        let mut tail = Tail::default();
        for i in 0..10_000u32 {
            tail.push(&i.to_be_bytes());
        }
        let bytes = tail.into_bytes();
        assert_eq!(bytes.len(), LOG_TAIL_BYTES_MAX);
        assert_eq!(bytes[LOG_TAIL_BYTES_MAX - 4..], 9_999u32.to_be_bytes());
        let mut tail = Tail::default();
        tail.push(&[1; LOG_TAIL_BYTES_MAX + 1]);
        assert_eq!(tail.into_bytes().len(), LOG_TAIL_BYTES_MAX);
    }
}
