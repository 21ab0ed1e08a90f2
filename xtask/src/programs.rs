//! Test programs, a few at a time, as most of them wait: for timers, servers, disks.
//! Cargo runs one after the other.

use crate::path;
use crate::shell::cargo;
use anyhow::{Context, bail};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A test program, and where it is run.
pub(crate) struct Program {
    name: String,
    executable: PathBuf,
    directory: PathBuf,
    /// Where what it writes goes if others run beside it.
    output: PathBuf,
}

impl Program {
    /// A script that runs tests, in its own directory and by its name.
    pub(crate) fn script(executable: PathBuf) -> anyhow::Result<Program> {
        let directory = executable.parent().context("a script lies in a directory")?.to_owned();
        let name = file_name(&directory);
        let output = path::target().join(&name).with_extension("out");
        Ok(Self { name, executable, directory, output })
    }

    /// One that cargo built, of the package in a directory.
    fn built(executable: PathBuf, directory: PathBuf) -> Program {
        let file = file_name(&executable);
        // What comes after the target's name is cargo's.
        let name = file.rsplit_once('-').map_or(&*file, |(name, _)| name).to_owned();
        let output = executable.with_extension("out");
        Self { name, executable, directory, output }
    }

    /// What its target is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a test of the package in a directory of that name.
    pub(crate) fn is_of(&self, directory: &str) -> bool {
        self.directory.ends_with(directory)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Builds all tests, in one go: a build of some of them alone would unify the features of what
/// they stand on anew, and compile that once more. Returns what there is to run, by name.
pub(crate) fn build() -> anyhow::Result<Vec<Program>> {
    let mut test = cargo();
    test.args(["test", "--workspace", "--locked", "--no-run"]);
    test.arg("--message-format=json-render-diagnostics");
    // Its progress and errors go to our terminal.
    let built = test.stderr(Stdio::inherit()).output().context("running cargo")?;
    if !built.status.success() {
        bail!("cargo failed ({})", built.status);
    }
    let messages = String::from_utf8(built.stdout).context("what cargo wrote is not text")?;
    let mut programs = Vec::new();
    for message in messages.lines() {
        let message: Value = serde_json::from_str(message).context("what cargo wrote")?;
        programs.extend(program(&message)?);
    }
    if programs.is_empty() {
        bail!("cargo built no test");
    }
    // Cargo tells of them as they are done.
    programs.sort_by(|one, other| one.executable.cmp(&other.executable));
    Ok(programs)
}

/// The program that a message of cargo's tells of, if it is a test.
fn program(message: &Value) -> anyhow::Result<Option<Program>> {
    let texts = ["executable", "manifest_path"].map(|name| message[name].as_str());
    let ([Some(executable), Some(manifest)], Some(true)) =
        (texts, message["profile"]["test"].as_bool())
    else {
        return Ok(None);
    };
    let package = Path::new(manifest).parent().context("a manifest lies in a directory")?;
    Ok(Some(Program::built(executable.into(), package.into())))
}

/// Runs these, `at_once` at a time, as `command` says of an executable. One alone has our
/// terminal; what one of many writes goes to a file, and is printed once it has ended. After
/// one that failed no other is begun.
pub(crate) fn run(
    programs: Vec<Program>,
    at_once: usize,
    command: impl Fn(&Path) -> anyhow::Result<Command> + Sync,
) -> anyhow::Result<()> {
    let queue = Mutex::new(programs.into_iter());
    // Not held while one runs.
    let next = || locked(&queue).next();
    let run_one = if at_once == 1 { run_alone } else { run_beside_others };
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(program) = next() {
                    let ran =
                        command(&program.executable).and_then(|command| run_one(&program, command));
                    if let Err(error) = ran {
                        locked(&failed).push(format!("{error:#}"));
                        while next().is_some() {}
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

fn run_alone(program: &Program, mut command: Command) -> anyhow::Result<()> {
    let ran = Ran::of(program, &mut command)?;
    ran.say(&mut std::io::stdout())?;
    ran.result()
}

fn run_beside_others(program: &Program, mut command: Command) -> anyhow::Result<()> {
    // A file and no pipe, which whatever it leaves behind would keep open.
    let path = &program.output;
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let ran = Ran::of(program, &mut command)?;
    let mut out = std::io::stdout().lock();
    ran.say(&mut out)?;
    std::io::copy(&mut File::open(path)?, &mut out)?;
    ran.result()
}

/// How a program ended.
struct Ran {
    name: String,
    took: Duration,
    status: ExitStatus,
}

impl Ran {
    fn of(program: &Program, command: &mut Command) -> anyhow::Result<Ran> {
        let began = Instant::now();
        let name = format!("{}/{}", file_name(&program.directory), program.name);
        // So that one that hangs has a name.
        eprintln!("     Running {name}");
        command.current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
        let status = command.status().with_context(|| format!("running {name}"))?;
        Ok(Ran { name, took: began.elapsed(), status })
    }

    fn say(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "     Ran {} in {:.1} s", self.name, self.took.as_secs_f64())
    }

    fn result(&self) -> anyhow::Result<()> {
        if !self.status.success() {
            bail!("{} failed ({})", self.name, self.status);
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is whole, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shell(target: &str, script: &str, dir: &Path) -> Program {
        let executable = dir.join(target);
        std::fs::write(&executable, format!("#!/bin/sh\n{script}\n")).unwrap();
        Program::built(executable, dir.into())
    }

    fn sh(script: &Path) -> anyhow::Result<Command> {
        let mut sh = Command::new("sh");
        sh.arg(script);
        Ok(sh)
    }

    #[test]
    fn a_program_has_the_name_of_its_target_and_is_of_the_package_in_its_directory() {
        let program = Program::built("/t/a-b-12ef".into(), "/p/tests/e2e".into());
        assert_eq!(program.name(), "a-b");
        assert_eq!(Program::script("/p/tests/clients/run".into()).unwrap().name(), "clients");
        assert!(program.is_of("e2e"));
        assert!(!program.is_of("2e") && !program.is_of("tests"));
    }

    #[test]
    fn only_tests_are_run() {
        let message = |test: bool, executable: Value| {
            json!({"profile": {"test": test}, "executable": executable,
                "manifest_path": "/p/Cargo.toml"})
        };
        let is_run = |message| program(&message).unwrap().is_some();
        assert!(is_run(message(true, json!("/p/cluster-1"))));
        assert!(!is_run(message(false, json!("/p/cluster-1"))), "a program");
        assert!(!is_run(message(true, Value::Null)), "a library");
        assert!(!is_run(json!({"reason": "build-finished", "success": true})));
    }

    #[test]
    fn one_that_fails_is_named_and_those_after_it_are_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let programs = || {
            let scripts =
                [("one", "touch ran-one"), ("two", "exit 3"), ("three", "touch ran-three")];
            scripts.map(|(target, script)| shell(target, script, dir.path())).into()
        };
        let failed = run(programs(), 1, sh).unwrap_err().to_string();
        assert!(failed.contains("two failed"), "{failed}");
        assert!(dir.path().join("ran-one").exists() && !dir.path().join("ran-three").exists());
    }

    #[test]
    fn one_that_leaves_a_process_behind_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let began = Instant::now();
        run(vec![shell("leaves", "sleep 20 & exit 0", dir.path())], 2, sh).unwrap();
        assert!(began.elapsed().as_secs() < 10);
        assert!(dir.path().join("leaves.out").exists());
    }

    #[test]
    fn so_many_run_at_once() {
        let dir = tempfile::tempdir().unwrap();
        // Each ends well only if it sees the other run.
        let sees = |own: &str, other: &str| {
            let look = format!("test -e {other} && exit; sleep 0.01");
            format!("touch {own}; for i in $(seq 1000); do {look}; done; exit 1")
        };
        let programs = vec![
            shell("one", &sees("is-one", "is-two"), dir.path()),
            shell("two", &sees("is-two", "is-one"), dir.path()),
        ];
        run(programs, 2, sh).unwrap();
    }
}
