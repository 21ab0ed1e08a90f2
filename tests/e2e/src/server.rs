//! One `hearth up`, from its start to a clean end.

use crate::cli::{hearth_as, json_of};
use crate::output::Output;
use crate::{Account, Leftovers, Usage, binary};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Longest that a server may take to serve.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest that it may take to end; running invokes are given time.
const STOP_MAX: Duration = Duration::from_secs(60);
/// How long a server whose test failed is given before it is killed.
const ABANDON_MAX: Duration = Duration::from_secs(15);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `--listen`.
    pub listen: String,
    /// `--image-cache`; else `HEARTH_IMAGE_CACHE`, else the server's own default.
    pub image_cache: Option<PathBuf>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { listen: "127.0.0.1:0".into(), image_cache: None, arguments: Vec::new() }
    }
}

impl ServerOptions {
    /// Adds an option with its value.
    pub fn with(mut self, option: &str, value: impl ToString) -> Self {
        self.arguments.extend([option.to_owned(), value.to_string()]);
        self
    }
}

/// A server that serves. Dropping it stops it, whatever the test came to.
pub struct Server {
    /// `http://address:port`.
    pub endpoint: String,
    data_dir: PathBuf,
    child: Mutex<Option<Child>>,
    pid: i32,
    output: Output,
    _temp: Option<TempDir>,
}

/// A server's process that may have come to nothing.
pub struct Life {
    child: Child,
    output: Output,
    readers: [JoinHandle<()>; 2],
}

/// A line of `hearth sandboxes`.
#[derive(Debug, Deserialize)]
pub struct SandboxLine {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub function: String,
    /// `starting`, `idle` or `busy`.
    pub state: String,
    /// Invocations it has served.
    pub invocations: u64,
}

#[derive(Deserialize)]
struct NewKey {
    access_key_id: String,
    secret_access_key: String,
}

impl Life {
    /// Starts the program on `data_dir`.
    pub fn begin(data_dir: &Path, options: &ServerOptions) -> Result<Self> {
        let mut command = Command::new(binary::hearth()?);
        command.arg("up").arg("--data-dir").arg(data_dir).args(["--listen", &options.listen]);
        if let Some(cache) = options.image_cache.clone().or_else(binary::image_cache) {
            command.arg("--image-cache").arg(cache);
        }
        let mut child = command
            .args(&options.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start hearth up")?;
        let output = Output::default();
        let readers = [
            output.follow(child.stdout.take().context("stdout is piped")?),
            output.follow(child.stderr.take().context("stderr is piped")?),
        ];
        Ok(Self { child, output, readers })
    }

    /// Waits until it serves; returns where.
    async fn serving(&mut self) -> Result<String> {
        let listening = self.output.find(|line| {
            let (_, endpoint) = line.split_once("listening on ")?;
            endpoint.starts_with("http://").then(|| endpoint.trim().to_owned())
        });
        tokio::select! {
            endpoint = listening => Ok(endpoint),
            status = self.child.wait() => bail!("hearth up ended: {}\n{}", status?, self.output.text()),
            () = tokio::time::sleep(START_MAX) => {
                bail!("hearth up does not serve after {START_MAX:?}\n{}", self.output.text())
            }
        }
    }

    /// Waits for its end; returns its status and what it wrote.
    pub async fn ended(mut self) -> Result<(ExitStatus, String)> {
        let status = tokio::time::timeout(START_MAX, self.child.wait())
            .await
            .context("hearth up neither serves nor ends")??;
        for reader in self.readers {
            reader.await?;
        }
        Ok((status, self.output.text()))
    }
}

impl Server {
    /// Starts a server on a fresh data directory.
    pub async fn start(options: &ServerOptions) -> Result<Self> {
        let temp = TempDir::with_prefix("hearth-e2e-")?;
        let mut server = Self::start_in(temp.path(), options).await?;
        server._temp = Some(temp);
        Ok(server)
    }

    /// Starts a server on a data directory that may have had others.
    pub async fn start_in(data_dir: &Path, options: &ServerOptions) -> Result<Self> {
        let mut life = Life::begin(data_dir, options)?;
        let endpoint = life.serving().await?;
        let pid = life.child.id().context("it just served")? as i32;
        Ok(Self {
            // A wildcard address is none to connect to.
            endpoint: endpoint.replace("//0.0.0.0:", "//127.0.0.1:"),
            data_dir: data_dir.to_owned(),
            child: Mutex::new(Some(life.child)),
            pid,
            output: life.output,
            _temp: None,
        })
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The port it listens on.
    pub fn port(&self) -> Result<u16> {
        let port = self.endpoint.rsplit_once(':').map(|(_, port)| port);
        Ok(port.context("an endpoint has a port")?.parse()?)
    }

    /// The last of what it wrote.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// How many lines of what it wrote, as far as they are kept, have this text.
    pub fn said(&self, text: &str) -> usize {
        self.output.text().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until it writes a line with this text.
    pub async fn says(&self, text: &str, within: Duration) -> Result<()> {
        let found = self.output.find(|line| line.contains(text).then_some(()));
        let found = tokio::time::timeout(within, found).await;
        found.with_context(|| format!("not said in {within:?}: {text}\n{}", self.output()))
    }

    /// The account that the server made for itself.
    pub fn default_account(&self) -> Result<Account> {
        let file = self.data_dir.join("credentials");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            let value = line.and_then(|rest| rest.trim().strip_prefix('='));
            value.map(|v| v.trim().to_owned()).with_context(|| format!("no {key} in {text}"))
        };
        let (id, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
        Ok(Account::new(&self.endpoint, &id, &secret))
    }

    /// A fresh account.
    pub async fn new_account(&self, name: &str) -> Result<Account> {
        let mut command = Command::new(binary::hearth()?);
        command.args(["--output", "json", "accounts", "create", name, "--data-dir"]);
        let key: NewKey = json_of(command.arg(&self.data_dir)).await?;
        Ok(Account::new(&self.endpoint, &key.access_key_id, &key.secret_access_key))
    }

    /// An account's living sandboxes.
    pub async fn sandboxes(&self, account: &Account) -> Result<Vec<SandboxLine>> {
        self.client(account, &["sandboxes"]).await
    }

    /// What `hearth ARGUMENTS`, run as this account, prints as JSON.
    pub async fn client<T: DeserializeOwned>(
        &self,
        account: &Account,
        arguments: &[&str],
    ) -> Result<T> {
        let mut command = hearth_as(account)?;
        json_of(command.args(["--output", "json"]).args(arguments).kill_on_drop(true)).await
    }

    /// What it holds on the host now.
    pub fn holdings(&self) -> Result<Leftovers> {
        Leftovers::of(self.pid, &self.data_dir)
    }

    /// What the server itself takes of the host now; its VMMs are not part of it.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid).context("a process has an id")?;
        // Ours until it is waited for, so it can be nobody else's.
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it as a crash would, and returns what it held.
    pub async fn kill(self) -> Result<Leftovers> {
        let held = self.holdings()?;
        self.signal(Signal::KILL)?;
        if let Some(mut child) = self.take_child() {
            child.wait().await?;
        }
        Ok(held)
    }

    /// Ends it with SIGTERM and checks that it ends well and leaves nothing.
    pub async fn stop(self) -> Result<()> {
        let held = self.holdings()?;
        self.signal(Signal::TERM)?;
        self.ended_well().await?;
        held.gone().await
    }

    /// Waits for its end, which must be a good one.
    pub async fn ended_well(&self) -> Result<()> {
        let Some(mut child) = self.take_child() else { return Ok(()) };
        match tokio::time::timeout(STOP_MAX, child.wait()).await {
            Ok(status) => {
                let status = status?;
                ensure!(status.success(), "hearth up ended with {status}\n{}", self.output());
                Ok(())
            }
            Err(_) => {
                child.kill().await?;
                bail!("hearth up does not end {STOP_MAX:?} after SIGTERM\n{}", self.output())
            }
        }
    }

    fn take_child(&self) -> Option<Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut child) = self.take_child() else { return };
        // Only after a failure: the child itself is killed when it is dropped.
        eprintln!("---- the last lines of a server that is given up ----\n{}", self.output());
        let _may_have_ended = self.signal(Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < ABANDON_MAX && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
