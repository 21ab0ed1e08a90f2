//! A real HAProxy, with the configuration that `hearth cluster balancer-config` prints.

use crate::front_end::FrontEnd;
use crate::wire::Client;
use anyhow::{Context, Result, bail, ensure};
use hearth_e2e::eventually;
use hearth_programs::Program;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const HAPROXY: Program = Program::new("haproxy", "haproxy");
/// How often it is started anew, when somebody else took its port.
const STARTS_MAX: usize = 5;
/// Longest that it may take to serve, or to notice something.
const SOON: Duration = Duration::from_secs(30);

/// A running HAProxy.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    dir: TempDir,
    process: Child,
}

impl Balancer {
    /// Starts it before these front ends, and waits until it serves.
    pub(crate) async fn start(front_ends: &[&FrontEnd]) -> Result<Self> {
        for _ in 0..STARTS_MAX {
            let mut balancer = Self::try_start(front_ends)?;
            let (address, process) = (balancer.address, &mut balancer.process);
            let serves = eventually("a balancer that serves", SOON, || {
                let ended = process.try_wait();
                async move {
                    match ended?.is_some() {
                        true => Ok(Some(false)),
                        false => Ok(Client::connect(address).await.ok().map(|_| true)),
                    }
                }
            });
            if serves.await? {
                return Ok(balancer);
            }
            eprintln!("haproxy ended: {}", balancer.log());
        }
        bail!("haproxy does not start")
    }

    fn try_start(front_ends: &[&FrontEnd]) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(hearth_e2e::hearth()?);
        command.args(["cluster", "balancer-config", "--listen", &address.to_string()]);
        command.args(front_ends.iter().map(|f| format!("{}={}", f.name, f.address)));
        let printed = command.output().context("cannot run hearth")?;
        ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));

        let dir = tempfile::tempdir()?;
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, &printed.stdout)?;
        let log = File::create(dir.path().join("log"))?;
        let process = HAPROXY
            .command()?
            .arg("-db")
            .arg("-f")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { address, dir, process })
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits until it says that this front end is `UP` or `DOWN`, once more than before.
    pub(crate) async fn says(&self, front_end: &FrontEnd, state: &str, times: usize) -> Result<()> {
        let line = format!("front-ends/{} is {state}", front_end.name);
        let what = format!("the balancer says {times} times: {line}");
        eventually(&what, SOON, || {
            let said = self.log().matches(&line).count();
            async move { Ok((said >= times).then_some(())) }
        })
        .await
        .with_context(|| self.log())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
