//! `cargo xtask up`: from a bare machine to a running server that has just
//! answered its first invoke.

use crate::server::Server;
use crate::shell::{self, step};
use crate::{apt, artifacts, path, root};
use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is deployed to show that all works.
const EXAMPLE: &str = "hello-python";
/// Memory buys CPU: with this much, the example is quick under emulation too.
const EXAMPLE_MEMORY_MB: &str = "256";
const EXAMPLE_TIMEOUT_S: &str = "10";

/// The second half as a command of its own, for sudo.
pub(crate) const SERVE: &str = "serve-as-root";

/// Installs, builds, starts, deploys, invokes, and stays.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    root::ensure()?;
    apt::ensure(apt::Purpose::Run)?;
    artifacts::build()?;
    if root::is_ours() {
        return serve(args);
    }
    claim(&data_dir(args))?;
    // In our place, because we could not pass signals on to a process of root's;
    // the terminal's reach it.
    let this = std::env::current_exe()?;
    let failed = root::ours(this.as_os_str(), &[])?.arg(SERVE).args(args).exec();
    Err(failed).context("running sudo")
}

/// Makes the data directory ours before the server, as root, makes it root's:
/// its owner is the one who may read the credentials in it.
fn claim(data_dir: &Path) -> anyhow::Result<()> {
    let name = data_dir.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .with_context(|| format!("cannot make the data directory {name}"))?;
    let owner = std::fs::metadata(data_dir)?.uid();
    anyhow::ensure!(
        owner == geteuid().as_raw(),
        "the data directory {name} is another user's, and so are its credentials: name another \
         with --data-dir, or run this as its owner"
    );
    Ok(())
}

/// What needs root: starts, deploys, invokes, and stays.
pub(crate) fn serve(args: &[String]) -> anyhow::Result<()> {
    let hearth = path::hearth();
    step("starting hearth up");
    // From here on signals are for the server: it stops cleanly, then so do we.
    // Caught rather than blocked, because the server would inherit the blocking.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let server = Server::start(&hearth, args, |server| pass_on(signals, server))?;
    let credentials = data_dir(args).join("credentials");
    greet(&hearth, server.endpoint(), &credentials)?;
    let status = server.wait()?;
    anyhow::ensure!(status.success(), "hearth up ended ({status})");
    Ok(())
}

/// Passes each signal on to the server, from a thread that ends with us.
fn pass_on(mut signals: Signals, server: Pid) {
    std::thread::spawn(move || {
        for signal in signals.forever().flat_map(Signal::try_from) {
            // An error means that it is gone already: then we are about to be.
            let _ = kill(server, signal);
        }
    });
}

/// Deploys and invokes the example, and says what to try next.
fn greet(hearth: &Path, endpoint: &str, credentials: &Path) -> anyhow::Result<()> {
    let client = |args: &[&str]| {
        let mut command = Command::new(hearth);
        command.args(args).arg("--endpoint-url").arg(endpoint);
        // The key that this server made, whatever else this shell is set up for.
        command.env("AWS_SHARED_CREDENTIALS_FILE", credentials).env("AWS_PROFILE", "default");
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].iter().for_each(
            |name| {
                command.env_remove(name);
            },
        );
        command
    };
    let code = path::root().join("examples").join(EXAMPLE);
    let code = code.to_str().context("the path of this checkout is not UTF-8")?;
    step(&format!("deploying examples/{EXAMPLE}"));
    shell::run(&mut client(&[
        "deploy",
        code,
        "--name",
        EXAMPLE,
        "--runtime",
        "python3.13",
        "--handler",
        "app.handler",
        "--memory",
        EXAMPLE_MEMORY_MB,
        "--timeout",
        EXAMPLE_TIMEOUT_S,
    ]))?;
    let payload = r#"{"name": "world"}"#;
    for which in ["invoking it: a first time, in a new microVM", "and again, now that it is warm"] {
        step(which);
        shell::run(&mut client(&["invoke", EXAMPLE, "--payload", payload, "--timing"]))?;
    }
    println!("{}", try_next(endpoint, credentials));
    Ok(())
}

/// What to try next, in words that every AWS CLI knows: older ones overlook
/// `AWS_ENDPOINT_URL`, and the two editions take payloads in different ways.
fn try_next(endpoint: &str, credentials: &Path) -> String {
    format!(
        "
Hearth is up at {endpoint}. Credentials: {file} (profile default, any region).
Try next, from another shell:

  export AWS_SHARED_CREDENTIALS_FILE={file} AWS_DEFAULT_REGION=local
  aws --endpoint-url {endpoint} lambda invoke --function-name {EXAMPLE} /dev/stdout
  {hearth} bench {EXAMPLE} --count 200 --endpoint-url {endpoint}

Ctrl-C stops it; what is deployed stays in {data}.
",
        file = credentials.display(),
        hearth = path::hearth().display(),
        data = credentials.parent().unwrap_or(credentials).display(),
    )
}

/// The data directory that these arguments of `hearth up` lead to.
fn data_dir(args: &[String]) -> PathBuf {
    let named =
        args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix("--data-dir") {
            Some("") => args.get(at + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        });
    named.map(PathBuf::from).unwrap_or_else(|| {
        let xdg = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let home = || std::env::home_dir().unwrap_or_else(|| ".".into()).join(".local/share");
        xdg.unwrap_or_else(home).join("hearth")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_data_directory_is_the_servers() {
        let dir =
            |text: &str| data_dir(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(dir("--listen 127.0.0.1:0 --data-dir /d"), Path::new("/d"));
        assert_eq!(dir("--data-dir=/d"), Path::new("/d"));
        assert!(dir("").ends_with("hearth"));
    }

    #[test]
    fn a_data_directory_is_made_ours_or_refused() {
        let parent = tempfile::tempdir().unwrap();
        let made = parent.path().join("a/b");
        claim(&made).unwrap();
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        claim(&made).unwrap();
        // Root's, to an ordinary user; to root, that of one who is not there.
        let theirs = match root::is_ours() {
            true => std::os::unix::fs::chown(&made, Some(12345), None).map(|()| made),
            false => Ok(PathBuf::from("/")),
        };
        let error = claim(&theirs.unwrap()).unwrap_err().to_string();
        assert!(error.contains("another user's"), "{error}");
    }

    #[test]
    fn the_hints_name_endpoint_and_credentials() {
        let text = try_next("http://127.0.0.1:9", Path::new("/d/credentials"));
        assert!(text.contains("AWS_SHARED_CREDENTIALS_FILE=/d/credentials"));
        assert!(text.contains("aws --endpoint-url http://127.0.0.1:9 lambda invoke"));
        assert!(text.contains("stays in /d."));
    }
}
