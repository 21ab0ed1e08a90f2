//! One `hearth node`, from its start to its end.

use crate::binary;
use crate::output::Output;
use anyhow::{Context, Result, bail, ensure};
use hearth_test_servers::Place;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

/// Longest that a node may take to serve: it may wait for what an earlier life left.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest that it may take to end.
const STOP_MAX: Duration = Duration::from_secs(60);
/// How long a node whose test failed is given before it is killed.
const ABANDON_MAX: Duration = Duration::from_secs(10);

/// A node that serves.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where it serves the Lambda API, if it does.
    pub endpoint: Option<String>,
    /// Further variables of its environment.
    pub environment: Vec<(&'static str, String)>,
    place: Place,
    config: PathBuf,
    child: Option<Child>,
    output: Output,
}

impl Node {
    /// A node that does not run yet. `credentials` are those of the object store.
    pub(crate) fn new(
        name: &str,
        place: Place,
        config: PathBuf,
        credentials: [(&'static str, String); 3],
    ) -> Self {
        let (name, environment) = (name.to_owned(), credentials.into());
        let output = Output::default();
        Self { name, endpoint: None, environment, place, config, child: None, output }
    }

    /// Starts it, and waits until it serves.
    pub async fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
        self.output = Output::default();
        let mut command = Command::new(binary::hearth()?);
        command
            .arg("node")
            .arg("--config")
            .arg(&self.config)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let runtime = Handle::current();
        let mut child = self
            .place
            .within(|| {
                let _for_its_pipes = runtime.enter();
                command.spawn()
            })
            .context("start hearth node")?;
        let _until_they_end = [
            self.output.follow(child.stdout.take().context("stdout is piped")?),
            self.output.follow(child.stderr.take().context("stderr is piped")?),
        ];
        let serves = self.output.find(|line| match line.split_once("listening on ") {
            Some((_, endpoint)) => Some(Some(endpoint.trim().to_owned())),
            None => line.contains(" ready node=").then_some(None),
        });
        let endpoint = tokio::select! {
            endpoint = serves => endpoint,
            status = child.wait() => {
                bail!("{} ended: {}\n{}", self.name, status?, self.output.text())
            }
            () = tokio::time::sleep(START_MAX) => {
                bail!("{} does not serve after {START_MAX:?}\n{}", self.name, self.output.text())
            }
        };
        self.endpoint = endpoint;
        self.child = Some(child);
        Ok(())
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its configuration.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The last of what it wrote.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        let pid = Pid::from_raw(child.id().context("it has ended")? as i32);
        // Ours until it is waited for, so it can be nobody else's.
        Ok(kill_process(pid.context("a process has an id")?, signal)?)
    }

    /// Kills it as a crash would.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        let mut child = self.child.take().context("it runs")?;
        child.wait().await?;
        Ok(())
    }

    /// Ends it with SIGTERM, which must be a good end.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().context("it runs")?;
        let status = tokio::time::timeout(STOP_MAX, child.wait()).await;
        let status =
            status.with_context(|| format!("{} does not end\n{}", self.name, self.output()))??;
        ensure!(status.success(), "{} ended with {status}\n{}", self.name, self.output());
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Only after a failure: the child itself is killed when it is dropped.
        eprintln!(
            "---- the last lines of {}, which is given up ----\n{}",
            self.name,
            self.output()
        );
        let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
        let _may_have_ended = pid.map(|pid| kill_process(pid, Signal::TERM));
        let began = Instant::now();
        while began.elapsed() < ABANDON_MAX && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
