//! QEMU's control socket: the few commands we give, typed.
//!
//! The VMM is on the other side of the jail, so what it says is bounded and
//! parsed like anything else from there.

use serde::Deserialize;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longest line accepted; a greeting is 150 bytes.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// Lines that are events, not answers, accepted before an answer.
const EVENTS_MAX: usize = 64;

/// An open control connection.
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

/// A line from QEMU.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Greeting {
        #[serde(rename = "QMP")]
        _qmp: serde_json::Value,
    },
    Answer {
        #[serde(rename = "return")]
        value: serde_json::Value,
    },
    Failure {
        error: Failure,
    },
    Event {
        #[serde(rename = "event")]
        _event: String,
    },
}

#[derive(Deserialize)]
struct Failure {
    desc: String,
}

/// Answer to `query-status`.
#[derive(Deserialize)]
pub(super) struct Status {
    /// Whether the guest's CPUs run.
    pub(super) running: bool,
}

impl Qmp {
    /// Waits for the greeting and leaves negotiation mode.
    pub(super) async fn open(stream: UnixStream) -> io::Result<Self> {
        let mut qmp = Self { stream: BufReader::new(stream) };
        match qmp.line().await? {
            Line::Greeting { .. } => {}
            _ => return Err(invalid("no greeting")),
        }
        qmp.execute("qmp_capabilities").await?;
        Ok(qmp)
    }

    /// Whether the guest runs.
    pub(super) async fn query_status(&mut self) -> io::Result<Status> {
        Ok(serde_json::from_value(self.execute("query-status").await?)?)
    }

    async fn execute(&mut self, command: &str) -> io::Result<serde_json::Value> {
        let line = serde_json::json!({ "execute": command }).to_string();
        self.stream.write_all(line.as_bytes()).await?;
        for _ in 0..EVENTS_MAX {
            match self.line().await? {
                Line::Answer { value } => return Ok(value),
                Line::Failure { error } => return Err(io::Error::other(error.desc)),
                Line::Event { .. } => {}
                Line::Greeting { .. } => return Err(invalid("a second greeting")),
            }
        }
        Err(invalid("too many events"))
    }

    async fn line(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        (&mut self.stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays QEMU: says `lines`, one per command received after the first.
    async fn against(lines: &'static [&'static str]) -> io::Result<Status> {
        let (ours, theirs) = UnixStream::pair()?;
        let fake = tokio::spawn(async move {
            let mut theirs = theirs;
            for line in lines {
                theirs.write_all(line.as_bytes()).await?;
            }
            io::Result::Ok(theirs)
        });
        let held = fake.await??;
        let result = async { Qmp::open(ours).await?.query_status().await }.await;
        drop(held);
        result
    }

    #[tokio::test]
    async fn shakes_hands_and_skips_events() {
        let status = against(&[
            "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n",
            "{\"return\": {}}\r\n",
            "{\"event\": \"RESUME\", \"timestamp\": {}}\r\n",
            "{\"return\": {\"status\": \"running\", \"running\": true}}\r\n",
        ]);
        assert!(status.await.unwrap().running);
    }

    #[tokio::test]
    async fn refuses_nonsense() {
        assert!(against(&["hello\n"]).await.is_err());
        assert!(against(&["{\"return\": {}}\n"]).await.is_err());
        let error = against(&[
            "{\"QMP\": {}}\n",
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n",
        ]);
        assert_eq!(error.await.err().unwrap().to_string(), "no");
    }
}
