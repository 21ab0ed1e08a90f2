//! `--payload`: JSON text, `@file`, or `-` for standard input.

use anyhow::Context;
use bytes::Bytes;
use hearth_types::INVOKE_PAYLOAD_BYTES_MAX;
use std::convert::Infallible;
use std::io::Read;
use std::path::PathBuf;

/// Where an event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The argument itself.
    Text(String),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl std::str::FromStr for Payload {
    type Err = Infallible;
    fn from_str(s: &str) -> Result<Self, Infallible> {
        Ok(match s.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None if s == "-" => Self::Stdin,
            None => Self::Text(s.to_owned()),
        })
    }
}

impl Payload {
    /// Reads the event. Whether it is JSON is the server's to say, as with any
    /// client; how long it is would only be found out after sending it.
    pub(crate) fn read(&self) -> anyhow::Result<Bytes> {
        let bytes = match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::File(path) => {
                let file = std::fs::File::open(path);
                let file = file.with_context(|| format!("payload {}", path.display()))?;
                bounded(file).with_context(|| format!("payload {}", path.display()))?
            }
            Self::Stdin => bounded(std::io::stdin().lock()).context("payload from stdin")?,
        };
        anyhow::ensure!(
            bytes.len() <= INVOKE_PAYLOAD_BYTES_MAX,
            "the payload is larger than {INVOKE_PAYLOAD_BYTES_MAX} bytes"
        );
        Ok(bytes.into())
    }
}

/// Reads one byte more than is allowed at most, so that the caller can tell.
fn bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(INVOKE_PAYLOAD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let payload = |s: &str| s.parse::<Payload>().unwrap();
        assert_eq!(payload("{}"), Payload::Text("{}".into()));
        assert_eq!(payload("@e.json"), Payload::File("e.json".into()));
        assert_eq!(payload("-"), Payload::Stdin);
    }

    #[test]
    fn files_are_read_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("event");
        std::fs::write(&path, "[1]").unwrap();
        assert_eq!(Payload::File(path.clone()).read().unwrap().as_ref(), b"[1]");
        std::fs::write(&path, vec![b' '; INVOKE_PAYLOAD_BYTES_MAX + 1]).unwrap();
        assert!(Payload::File(path.clone()).read().unwrap_err().to_string().contains("larger"));
        std::fs::remove_file(&path).unwrap();
        assert!(Payload::File(path).read().is_err());
    }
}
