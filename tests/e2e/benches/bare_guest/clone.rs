//! A captured bare guest and its clones: VMMs that wait for their state, on one
//! plain local file of memory.

use crate::agent::Agent;
use crate::bare::{Bare, identity};
use crate::qmp::Qmp;
use crate::{MEMORY_MIB, TMP_BYTES};
use anyhow::{Context, Result, ensure};
use hearth_agent_proto::{Configure, EarlyStart};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tokio::process::{Child, Command};

/// Has a runtime start before its function is known.
const PREPARE: (&str, &str) = ("HEARTH_PREPARE", "1");
/// What Lambda's functions are told that are to be captured.
const INITIALIZATION_TYPE: (&str, &str) = ("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start");
/// What they are not told, since their clones' would be another.
const OF_ONE_SANDBOX: [&str; 2] = ["AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"];

/// A guest at rest.
pub(crate) struct Captured {
    memory: PathBuf,
    state: PathBuf,
    scratch: PathBuf,
}

/// A VMM, and what leads to it.
struct Vmm {
    process: Child,
    agent: Agent,
    qmp: Qmp,
}

impl Captured {
    /// Boots a guest, initialises the function in it as a clone of Hearth's was, and
    /// captures it while it waits for its first event.
    pub(crate) async fn new(bare: &Bare) -> Result<Self> {
        let path = |name| bare.work().join(name);
        let captured = Self {
            memory: path("captured.memory"),
            state: path("captured.state"),
            scratch: path("captured.ext4"),
        };
        bare.cache().create_scratch(&captured.scratch, TMP_BYTES)?;
        let Vmm { mut process, mut agent, mut qmp } =
            start(bare, &captured.scratch, &captured.memory, "on", |line| bare.boot(line))?;
        let mut environment = bare.environment().clone();
        environment.push((PREPARE.0.into(), PREPARE.1.into()));
        let start = EarlyStart { environment, line: true };
        let configure = configure(bare);
        let state = captured.state.clone();
        tokio::task::spawn_blocking(move || -> Result<()> {
            agent.initialise(Instant::now(), Some(start), configure)?;
            qmp.leave_memory_out()?;
            qmp.save(&state)
        })
        .await??;
        process.kill().await.context("end the guest that was captured")?;
        Ok(captured)
    }

    /// What so many clones at once take from being told their state to the last one's
    /// first answer, in milliseconds.
    pub(crate) async fn restore(&self, bare: &Bare, count: usize) -> Result<f64> {
        let mut clones = Vec::with_capacity(count);
        for number in 0..count {
            clones.push(self.waiting(bare, number).await?);
        }
        let began = Instant::now();
        let running = clones.into_iter().map(|mut clone| {
            let state = self.state.clone();
            tokio::task::spawn_blocking(move || -> Result<Vmm> {
                clone.qmp.load(&state)?;
                clone.agent.restore(identity())?;
                clone.agent.invoke(0)?;
                Ok(clone)
            })
        });
        let answered = futures_util::future::join_all(running.collect::<Vec<_>>()).await;
        let took = began.elapsed().as_secs_f64() * 1e3;
        for clone in answered {
            clone??.process.kill().await.context("end a bare clone")?;
        }
        Ok(took)
    }

    /// A VMM that waits for its state.
    async fn waiting(&self, bare: &Bare, number: usize) -> Result<Vmm> {
        let scratch = bare.work().join(format!("clone-{number}.ext4"));
        copy_sparse(&self.scratch, &scratch).await?;
        let incoming = |line: &mut Command| {
            line.args(["-incoming", "defer"]);
        };
        let mut vmm = start(bare, &scratch, &self.memory, "off", incoming)?;
        tokio::task::spawn_blocking(move || {
            vmm.qmp.leave_memory_out()?;
            Ok(vmm)
        })
        .await?
    }
}

fn configure(bare: &Bare) -> Configure {
    let mut configure = bare.configure();
    configure.environment.retain(|(name, _)| !OF_ONE_SANDBOX.contains(&name.as_str()));
    for (name, value) in &mut configure.environment {
        if name == INITIALIZATION_TYPE.0 {
            INITIALIZATION_TYPE.1.clone_into(value);
        }
    }
    configure
}

/// Starts a VMM on a file of memory, which is the guest's own or a private copy.
fn start(
    bare: &Bare,
    scratch: &Path,
    memory: &Path,
    share: &str,
    origin: impl FnOnce(&mut Command),
) -> Result<Vmm> {
    let (agent, its_agent) = UnixStream::pair()?;
    let (qmp, its_qmp) = UnixStream::pair()?;
    for end in [&its_agent, &its_qmp] {
        // The VMM's ends have to outlive its exec.
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::empty())?;
    }
    let mut line = bare.command(scratch, its_agent.as_raw_fd())?;
    origin(&mut line);
    let file = memory.display();
    line.arg("-object")
        .arg(format!("memory-backend-file,id=m,size={MEMORY_MIB}M,mem-path={file},share={share}"))
        .args(["-machine", "memory-backend=m"])
        .args(["-chardev", &format!("socket,id=qmp,fd={}", its_qmp.as_raw_fd())])
        .args(["-mon", "chardev=qmp,mode=control"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(bare.work().join("stderr"))?);
    let process = line.kill_on_drop(true).spawn().context("start QEMU")?;
    drop((its_agent, its_qmp));
    Ok(Vmm { process, agent: Agent::new(agent), qmp: Qmp::open(qmp)? })
}

/// The holes of a scratch disk are nearly all of it.
async fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("--sparse=always").arg(from).arg(to).status().await?;
    ensure!(copied.success(), "cp: {copied}");
    Ok(())
}
