//! Workers by the operator's own programs: what is wanted is JSON on their stdin, and
//! their exit status is the answer.
//!
//! ```text
//! {"action":"scale-up","zone":"a","count":2}
//! {"action":"scale-down","node":"w7","worker":"0000…","zone":"a"}
//! ```

use super::{Machine, ProviderError, WorkerProvider};
use crate::config::CommandConfig;
use async_trait::async_trait;
use hearth_types::{NodeName, ZoneName};
use serde::Serialize;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// Longest that a program may take: it has workers started and does not wait for them.
const COMMAND_MAX: Duration = Duration::from_secs(60);
/// Of what a program says, so much is read; one that says more fails, since nobody reads
/// it on.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;
/// Lines of it in the log.
const LINES_MAX: usize = 50;

#[derive(Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
enum Wanted<'a> {
    ScaleUp { zone: &'a ZoneName, count: u32 },
    ScaleDown(&'a Machine),
}

/// The operator's programs.
pub struct CommandProvider {
    commands: CommandConfig,
    command_max: Duration,
}

impl CommandProvider {
    /// These programs.
    pub fn new(commands: CommandConfig) -> Self {
        Self { commands, command_max: COMMAND_MAX }
    }

    #[cfg(test)]
    pub(crate) fn patient_for(self, command_max: Duration) -> Self {
        Self { command_max, ..self }
    }

    async fn run(&self, words: &[String], wanted: &Wanted<'_>) -> Result<(), ProviderError> {
        let Some((program, args)) = words.split_first() else {
            return Err(ProviderError::Failed("no program is configured".to_owned()));
        };
        if !hearth_programs::is_trusted(Path::new(program)) {
            return Err(ProviderError::Failed(format!(
                "{program} is not there, or others could alter it"
            )));
        }
        let host = |what: &str, source| ProviderError::Host { what: what.to_owned(), source };
        let mut child = command(program, args)
            .spawn()
            .map_err(|error| host(&format!("cannot run {program}"), error))?;
        let group = child.id();
        let ended = tokio::time::timeout(self.command_max, talk(&mut child, wanted)).await;
        let (said, status) = match ended {
            Ok(ended) => {
                ended.map_err(|error| host("the program could not be talked to", error))?
            }
            Err(_elapsed) => {
                // What it started in turn ends with it: else the pipe, and perhaps the
                // work, would go on.
                group.into_iter().for_each(super::child::kill_group);
                return Err(ProviderError::TimedOut);
            }
        };
        let text = String::from_utf8_lossy(&said);
        for line in text.lines().take(LINES_MAX) {
            tracing::info!(program, "{line}");
        }
        if status.success() {
            return Ok(());
        }
        let last = text.lines().next_back().unwrap_or("nothing");
        Err(ProviderError::Failed(format!("{program} ended with {status}, and said: {last}")))
    }
}

#[allow(clippy::disallowed_methods, reason = "an absolute path that the operator wrote, checked")]
fn command(program: &str, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("PATH", hearth_programs::trusted_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Tells it what is wanted; what it said, and how it ended.
async fn talk(
    child: &mut Child,
    wanted: &Wanted<'_>,
) -> std::io::Result<(Vec<u8>, std::process::ExitStatus)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let tell = async {
        let Some(mut stdin) = stdin else { return Ok(()) };
        match stdin.write_all(&serde_json::to_vec(wanted)?).await {
            // One that does not read knows all it needs.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            told => told,
        }
    };
    let hear = async {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            stderr.take(OUTPUT_BYTES_MAX).read_to_end(&mut said).await?;
        }
        std::io::Result::Ok(said)
    };
    let ((), said) = tokio::try_join!(tell, hear)?;
    Ok((said, child.wait().await?))
}

#[async_trait]
impl WorkerProvider for CommandProvider {
    async fn scale_up(&self, zone: &ZoneName, count: u32) -> Result<(), ProviderError> {
        self.run(&self.commands.scale_up, &Wanted::ScaleUp { zone, count }).await
    }

    async fn scale_down(&self, machine: &Machine) -> Result<(), ProviderError> {
        self.run(&self.commands.scale_down, &Wanted::ScaleDown(machine)).await
    }

    fn owns(&self, _node: &NodeName) -> bool {
        // The program has to know.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripts::write_script;
    use super::*;
    use hearth_types::WorkerId;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use tokio::time::Instant;

    fn script(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("script");
        write_script(&path, text);
        path
    }

    fn provider(program: &Path, argument: &Path) -> CommandProvider {
        let words = vec![program.display().to_string(), argument.display().to_string()];
        CommandProvider::new(CommandConfig { scale_up: words.clone(), scale_down: words })
    }

    #[tokio::test]
    async fn a_program_gets_what_is_wanted_as_json() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let provider = provider(&script(dir.path(), "cat > \"$1\"; echo done >&2"), &out);
        let json = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&out).unwrap());
        let zone: ZoneName = "a".parse().unwrap();
        provider.scale_up(&zone, 3).await.unwrap();
        let wanted = serde_json::json!({ "action": "scale-up", "zone": "a", "count": 3 });
        assert_eq!(json().unwrap(), wanted);
        let (node, worker): (NodeName, _) = ("w1".parse().unwrap(), WorkerId::new());
        provider.scale_down(&Machine { node, worker, zone }).await.unwrap();
        let wanted = serde_json::json!({
            "action": "scale-down", "node": "w1", "worker": worker, "zone": "a",
        });
        assert_eq!(json().unwrap(), wanted);
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let provider = provider(&script(dir.path(), "echo no quota >&2; exit 3"), dir.path());
        let error = provider.scale_up(&"a".parse().unwrap(), 1).await.unwrap_err().to_string();
        assert!(error.contains("no quota") && error.contains('3'), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let text = "sleep 600 & echo $! > \"$1\"; sleep 600";
        let provider = provider(&script(dir.path(), text), &pid);
        let provider = provider.patient_for(Duration::from_secs(5));
        let error = provider.scale_up(&"a".parse().unwrap(), 1).await.unwrap_err();
        assert!(matches!(error, ProviderError::TimedOut), "{error:?}");
        let sleeper = std::fs::read_to_string(pid).unwrap();
        let began = Instant::now();
        while super::super::child::Process::of(sleeper.trim().parse().unwrap()).is_some() {
            assert!(began.elapsed() < Duration::from_secs(10), "{sleeper} lives");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_program_that_talks_on_and_one_that_others_can_alter_fail() {
        let dir = tempfile::tempdir().unwrap();
        let path = script(dir.path(), "cat /dev/zero >&2");
        let endless = provider(&path, dir.path());
        assert!(endless.scale_up(&"a".parse().unwrap(), 1).await.is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = endless.scale_up(&"a".parse().unwrap(), 1).await.unwrap_err().to_string();
        assert!(error.contains("alter"), "{error}");
    }
}
