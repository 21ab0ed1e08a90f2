//! What needs root: run as it is if we are root, else through sudo. Cargo never
//! needs it, so whatever it builds stays the user's; sudo runs what it built.

use crate::shell::run;
use anyhow::{Context, bail};
use hearth_programs::Program;
use nix::unistd::{User, geteuid};
use std::ffi::{OsStr, OsString};
use std::process::Command;

const SUDO: Program = Program::new("sudo", "sudo");
const ENV: Program = Program::new("env", "coreutils");
/// Where things are, for what runs as root as for us; sudo would change or clear
/// these. Not the whole environment: it would show in the list of processes.
const KEPT: [&str; 11] = [
    "HOME",
    "PATH",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "CARGO",
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUST_BACKTRACE",
];
/// So are Hearth's own variables.
const KEPT_PREFIX: &str = "HEARTH_";

/// Whether that is what we are.
pub(crate) fn is_ours() -> bool {
    geteuid().is_root()
}

/// Fails where root is out of reach, and says how to get there: better now than
/// after a long build. sudo may ask for a password here.
pub(crate) fn ensure() -> anyhow::Result<()> {
    if is_ours() {
        return Ok(());
    }
    let user = User::from_uid(geteuid())?.map_or_else(|| geteuid().to_string(), |user| user.name);
    let Ok(mut sudo) = SUDO.command() else {
        bail!(
            "this needs root or sudo, and neither is here: run this, log in anew, and try again\n  \
             su - -c 'apt-get install --yes sudo && adduser {user} sudo'"
        );
    };
    if let Err(refused) = run(sudo.arg("true")) {
        bail!(
            "this needs root, and sudo does not give it to {user} ({refused:#}): if it never does, \
             run this, log in anew, and try again\n  su - -c 'adduser {user} sudo'"
        );
    }
    Ok(())
}

/// A program of the system, with root's own environment.
pub(crate) fn system(program: Program) -> anyhow::Result<Command> {
    if is_ours() {
        return Ok(program.command()?);
    }
    let mut sudo = SUDO.command()?;
    sudo.arg(program.find()?);
    Ok(sudo)
}

/// A program of this repository, which finds things where we do, and these
/// variables.
pub(crate) fn ours(program: &OsStr, variables: &[(&str, &OsStr)]) -> anyhow::Result<Command> {
    let words = prefix(variables)?;
    let mut command = match words.split_first() {
        Some((sudo, words)) => {
            let mut command = Command::new(sudo);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.envs(variables.iter().copied());
    Ok(command)
}

/// Has cargo run the tests or benchmarks that it builds as root.
pub(crate) fn run_by(cargo: &mut Command, variables: &[(&str, &OsStr)]) -> anyhow::Result<()> {
    let words = prefix(variables)?;
    if !words.is_empty() {
        cargo.arg("--config").arg(runner(&words)?);
    }
    cargo.envs(variables.iter().copied());
    Ok(())
}

/// What to put before a program: nothing if we are root.
fn prefix(variables: &[(&str, &OsStr)]) -> anyhow::Result<Vec<OsString>> {
    if is_ours() {
        return Ok(Vec::new());
    }
    let mut words = vec![SUDO.find()?.into(), ENV.find()?.into()];
    let kept = std::env::vars_os().filter(|(name, _)| is_kept(name));
    words.extend(kept.map(|(name, value)| assignment(&name, &value)));
    words.extend(variables.iter().map(|(name, value)| assignment(name.as_ref(), value)));
    Ok(words)
}

fn is_kept(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| KEPT.contains(&name) || name.starts_with(KEPT_PREFIX))
}

fn assignment(name: &OsStr, value: &OsStr) -> OsString {
    let mut word = name.to_owned();
    word.push("=");
    word.push(value);
    word
}

/// The words as cargo's setting, in TOML, whose strings are JSON's.
fn runner(words: &[OsString]) -> anyhow::Result<String> {
    let words: Vec<&str> = words
        .iter()
        .map(|word| word.to_str().with_context(|| format!("{word:?} is not UTF-8")))
        .collect::<Result<_, _>>()?;
    Ok(format!("target.'cfg(all())'.runner = {}", serde_json::to_string(&words)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_secrets_are_not() {
        assert!(is_kept("HOME".as_ref()) && is_kept("HEARTH_IMAGE_CACHE".as_ref()));
        assert!(!is_kept("AWS_SECRET_ACCESS_KEY".as_ref()));
        assert_eq!(assignment("A".as_ref(), "b c=d".as_ref()), "A=b c=d");
    }

    #[test]
    fn words_reach_cargo_whole() {
        let words = ["sudo", "env", "HOME=/home/a \"b\""].map(OsString::from);
        assert_eq!(
            runner(&words).unwrap(),
            r#"target.'cfg(all())'.runner = ["sudo","env","HOME=/home/a \"b\""]"#
        );
    }
}
