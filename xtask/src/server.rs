//! A running `hearth up`: started, waited for, and stopped by signal.

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What the server prints when it is ready to serve.
const READY: &str = "listening on ";
/// How long it may take to get there.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// A server process. Dropping it asks it to stop and waits.
pub(crate) struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    /// Starts `hearth up ARGS` and waits until it serves. What it writes is
    /// passed on. It gets a process group of its own, so that Ctrl-C reaches
    /// it once, through us.
    pub(crate) fn start(
        hearth: &Path,
        args: &[String],
        started: impl FnOnce(Pid),
    ) -> anyhow::Result<Self> {
        Self::spawn(Command::new(hearth).arg("up").args(args), started)
            .with_context(|| format!("starting {}", hearth.display()))
    }

    fn spawn(command: &mut Command, started: impl FnOnce(Pid)) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).process_group(0).spawn()?;
        started(pid(&child));
        let stdout = child.stdout.take().context("no stdout")?;
        let (ready, endpoint) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((_, endpoint)) = line.split_once(READY) {
                    // Nobody listens for a second such line; that is fine.
                    let _ = ready.send(endpoint.trim().to_owned());
                }
                println!("{line}");
            }
        });
        match endpoint.recv_timeout(READY_TIMEOUT) {
            Ok(endpoint) => Ok(Self { child, endpoint }),
            Err(why) => {
                let mut server = Self { child, endpoint: String::new() };
                let status = server.stop()?;
                match why {
                    mpsc::RecvTimeoutError::Disconnected => bail!("hearth up ended ({status})"),
                    mpsc::RecvTimeoutError::Timeout => {
                        bail!("hearth up did not serve within {} s", READY_TIMEOUT.as_secs())
                    }
                }
            }
        }
    }

    /// Its URL.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits until it ends by itself or by a signal passed on to it.
    pub(crate) fn wait(mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Asks it to stop, and waits for that.
    fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill(pid(&self.child), Signal::SIGTERM)?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("xtask: stopping hearth up: {error:#}");
        }
    }
}

fn pid(child: &Child) -> Pid {
    // Linux process ids fit: PID_MAX_LIMIT is 2^22.
    Pid::from_raw(child.id() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for `hearth up`.
    fn script(body: &str) -> Command {
        let mut sh = Command::new("sh");
        sh.args(["-c", body]);
        sh
    }

    #[test]
    fn says_where_it_listens_and_stops_when_asked() {
        let mut hearth = script(
            "trap 'exit 7' TERM; echo starting; echo listening on http://here:1; \
             while :; do :; done",
        );
        let mut seen = None;
        let mut server = Server::spawn(&mut hearth, |pid| seen = Some(pid)).unwrap();
        assert_eq!(server.endpoint(), "http://here:1");
        assert_eq!(seen, Some(pid(&server.child)));
        assert_eq!(server.stop().unwrap().code(), Some(7));
    }

    #[test]
    fn one_that_ends_before_it_serves_is_an_error() {
        let error = Server::spawn(&mut script("echo no; exit 3"), |_| {}).err().unwrap();
        let error = error.to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
