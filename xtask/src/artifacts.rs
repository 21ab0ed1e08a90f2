//! Builds what runs: the release binary, the static guest agent next to it,
//! and the guest images. Cargo and the image cache each know what is up to date.

use crate::path;
use crate::shell::{cargo, run, step};
use hearth_programs::Program;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target that the agent is built for: the guest is a Debian without a
/// libc of the agent's own, so it brings its libc along.
const AGENT_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Compiles the functions in Java.
const JAVAC: Program = Program::new("javac", "default-jdk-headless");

/// Where the results are.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    /// The `hearth` program.
    pub(crate) hearth: PathBuf,
}

/// Builds everything that is not up to date.
pub(crate) fn build() -> anyhow::Result<Artifacts> {
    let artifacts = binaries()?;
    step("building the guest images that are missing");
    // Progress, like cargo's: what comes after may write JSON to stdout.
    run(Command::new(&artifacts.hearth).args(["images", "build"]).stdout(std::io::stderr()))?;
    Ok(artifacts)
}

/// Builds the programs only.
pub(crate) fn binaries() -> anyhow::Result<Artifacts> {
    step("building hearth (release)");
    run(cargo().args(["build", "--release", "--locked", "-p", "hearth"]))?;
    step("building the guest agent (static)");
    // With an explicit target the flags reach the agent only, not build
    // scripts; and its bytes must not depend on where this checkout lies,
    // because images are reproducible.
    run(cargo()
        .args(["build", "--profile", "agent", "--locked", "-p", "hearth-agent"])
        .args(["--target", AGENT_TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", agent_flags().join("\x1f")))?;
    let hearth = path::hearth();
    let built = path::target().join(AGENT_TARGET).join("agent/hearth-agent");
    copy_if_changed(&built, &hearth.with_file_name("hearth-agent"))?;
    Ok(Artifacts { hearth })
}

/// Builds the Rust example as a directory to deploy: a static `bootstrap`. Its
/// own target directory keeps other flags from rebuilding the workspace's.
pub(crate) fn rust_example() -> anyhow::Result<()> {
    const NAME: &str = "hello-rust-provided";
    let target = path::target().join("examples");
    run(cargo()
        .args(["build", "--release", "--locked", "--target", AGENT_TARGET])
        .arg("--manifest-path")
        .arg(path::root().join("examples").join(NAME).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    let package = target.join(NAME);
    std::fs::create_dir_all(&package)?;
    copy_if_changed(
        &target.join(AGENT_TARGET).join("release").join("bootstrap"),
        &package.join("bootstrap"),
    )?;
    step(&format!("{} is ready to be deployed", package.display()));
    Ok(())
}

/// What both the host's Java and the guests' understand.
const JAVA_RELEASE: &str = "17";

/// Builds the Java example and the tests' Java functions as directories to deploy.
/// Of the API that they are compiled against, nothing goes into them.
pub(crate) fn java_functions() -> anyhow::Result<()> {
    let root = path::root();
    for (name, sources) in [
        ("hello-java", root.join("examples/hello-java/src")),
        ("uniqueness-java", root.join("tests/e2e/functions/uniqueness-java")),
    ] {
        let package = path::target().join("examples").join(name);
        // Classes of files that are no more would stay.
        if package.exists() {
            std::fs::remove_dir_all(&package)?;
        }
        std::fs::create_dir_all(&package)?;
        let mut javac = JAVAC.command()?;
        javac.args(["--release", JAVA_RELEASE, "-encoding", "UTF-8", "-implicit:none"]);
        javac.arg("-sourcepath").arg(root.join("images/java21/src"));
        javac.arg("-d").arg(&package);
        run(javac.args(java_files(&sources)?))?;
        step(&format!("{} is ready to be deployed", package.display()));
    }
    Ok(())
}

fn java_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(java_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "java") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn agent_flags() -> Vec<String> {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.push(format!("--remap-path-prefix={}=/hearth", path::root().display()));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags
}

/// Copies only new bytes, and in one step: a running server may be reading the
/// old ones.
fn copy_if_changed(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    let new = std::fs::read(from)?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let fresh = to.with_extension("new");
    std::fs::copy(from, &fresh)?;
    Ok(std::fs::rename(&fresh, to)?)
}
