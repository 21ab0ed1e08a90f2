//! QEMU's control socket: the few commands we give, typed.
//!
//! The VMM is on the other side of the jail, so what it says is bounded and
//! parsed like anything else from there.

use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Longest line accepted; a greeting is 150 bytes.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// Lines that are events, not answers, accepted before an answer.
const EVENTS_MAX: usize = 64;

/// How often a transfer is looked at; a typical one takes 15 to 50 ms.
const TRANSFER_LOOK_INTERVAL: Duration = Duration::from_millis(1);

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
        _qmp: Value,
    },
    Answer {
        #[serde(rename = "return")]
        value: Value,
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

/// Answer to `query-migrate`.
#[derive(Deserialize)]
struct Transfer {
    status: Option<String>,
    #[serde(rename = "error-desc")]
    error: Option<String>,
}

/// The first file in a set of descriptors.
fn uri(set: usize) -> String {
    format!("file:/dev/fdset/{set}")
}

impl Qmp {
    /// Waits for the greeting and leaves negotiation mode.
    pub(super) async fn open(stream: UnixStream) -> io::Result<Self> {
        let mut qmp = Self { stream: BufReader::new(stream) };
        match qmp.line().await? {
            Line::Greeting { .. } => {}
            _ => return Err(invalid("no greeting")),
        }
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Leaves memory that is in a file out of what is saved and loaded.
    pub(super) async fn leave_memory_out(&mut self) -> io::Result<()> {
        let capability = json!({ "capability": "x-ignore-shared", "state": true });
        let arguments = json!({ "capabilities": [capability] });
        self.execute("migrate-set-capabilities", arguments).await.map(drop)
    }

    /// Stops the guest's CPUs and waits for its I/O under way.
    pub(super) async fn stop(&mut self) -> io::Result<()> {
        self.execute("stop", json!({})).await.map(drop)
    }

    /// Saves the state of devices to the file in a set of descriptors.
    pub(super) async fn save(&mut self, set: usize) -> io::Result<()> {
        self.execute("migrate", json!({ "uri": uri(set) })).await?;
        self.transferred().await
    }

    /// Loads the state of devices from there, upon which the guest runs. It does not
    /// announce itself to its network, where nobody else is: that would be the first
    /// thing it has to do.
    pub(super) async fn load(&mut self, set: usize) -> io::Result<()> {
        self.execute("migrate-set-parameters", json!({ "announce-rounds": 0 })).await?;
        self.execute("migrate-incoming", json!({ "uri": uri(set) })).await?;
        self.transferred().await
    }

    async fn transferred(&mut self) -> io::Result<()> {
        loop {
            let answer = self.execute("query-migrate", json!({})).await?;
            let transfer: Transfer = serde_json::from_value(answer)?;
            match transfer.status.as_deref() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let reason = transfer.error.unwrap_or_else(|| "the transfer failed".into());
                    return Err(io::Error::other(reason));
                }
                _ => tokio::time::sleep(TRANSFER_LOOK_INTERVAL).await,
            }
        }
    }

    /// Whether the guest runs.
    pub(super) async fn query_status(&mut self) -> io::Result<Status> {
        Ok(serde_json::from_value(self.execute("query-status", json!({})).await?)?)
    }

    async fn execute(&mut self, command: &str, arguments: Value) -> io::Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string();
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
