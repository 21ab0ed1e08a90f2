//! QEMU's control socket: what capturing a guest and cloning it take.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Between two looks at a transfer that is under way.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// An open control connection.
pub(crate) struct Qmp(BufReader<UnixStream>);

impl Qmp {
    /// Shakes hands.
    pub(crate) fn open(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut qmp = Self(BufReader::new(stream));
        qmp.line().context("QEMU's greeting")?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Leaves memory that is in a file out of what is saved and loaded.
    pub(crate) fn leave_memory_out(&mut self) -> Result<()> {
        let capability = json!({ "capability": "x-ignore-shared", "state": true });
        self.execute("migrate-set-capabilities", json!({ "capabilities": [capability] }))?;
        Ok(())
    }

    /// Stops the guest and saves the state of its devices.
    pub(crate) fn save(&mut self, state: &Path) -> Result<()> {
        self.execute("stop", json!({}))?;
        self.execute("migrate", json!({ "uri": uri(state) }))?;
        self.transferred()
    }

    /// Loads the state of devices, and has the guest run.
    pub(crate) fn load(&mut self, state: &Path) -> Result<()> {
        self.execute("migrate-incoming", json!({ "uri": uri(state) }))?;
        self.transferred()?;
        self.execute("cont", json!({}))?;
        Ok(())
    }

    fn transferred(&mut self) -> Result<()> {
        loop {
            let answer = self.execute("query-migrate", json!({}))?;
            match answer["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => bail!("the transfer failed: {answer}"),
                _ => std::thread::sleep(LOOK_INTERVAL),
            }
        }
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string();
        self.0.get_mut().write_all(line.as_bytes())?;
        loop {
            let mut answer = self.line().with_context(|| command.to_owned())?;
            if let Some(error) = answer.get("error") {
                bail!("{command}: {error}");
            }
            // Anything else is an event.
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("QEMU has closed its control socket");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn uri(state: &Path) -> String {
    format!("file:{}", state.display())
}
