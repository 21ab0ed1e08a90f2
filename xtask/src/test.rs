//! `cargo xtask test`: everything, the quick first.
//!
//! ```text
//! layers ─► unit tests ─► release build and images ─► guests ─► tests/runtimes
//!        ─► tests/e2e, tests/clients
//! ```
//!
//! All in Rust are built at once, before the first runs. What boots guests runs as root,
//! through sudo if need be; cargo never does.
//! The end-to-end suites drive the release binary, because that is what people
//! run; they find it in `HEARTH_BIN`.

use crate::programs::Program;
use crate::shell::{self, cargo, step};
use crate::{apt, artifacts, layers, path, programs, root};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the end-to-end tests in Rust are.
const E2E: &str = "tests/e2e";
/// Where tests boot guests, build images or mount file systems.
const GUESTS: [&str; 3] = ["mechanisms/images", "mechanisms/page-server", "mechanisms/vmm"];

/// Unit tests' programs at once: most wait for timers and servers.
const UNITS_AT_ONCE: usize = 3;
/// Of the others those that leave the processors idle for most of their time, which are run so
/// many at once. The rest go one after the other: guests that are emulated need all there is.
const IDLE: [&str; 5] = ["clients", "cluster", "concurrency", "copy_on_read", "gc"];
const IDLE_AT_ONCE: usize = 2;

/// Bytecode would be root's, amid the user's sources.
fn no_bytecode() -> (&'static str, &'static OsStr) {
    ("PYTHONDONTWRITEBYTECODE", OsStr::new("1"))
}

/// Runs all tests, or in Rust those whose name contains the one given.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let filter = match args {
        [] => None,
        [name] if !name.starts_with('-') => Some(name),
        _ => anyhow::bail!("usage: cargo xtask test [NAME]"),
    };
    root::ensure()?;
    apt::ensure(apt::Purpose::Test)?;
    step("checking layers");
    layers::run()?;
    // Tests of the object store find it there.
    shell::run(&mut Command::new(path::root().join("tests/objects/install")))?;
    step("building all tests");
    let (mut end_to_end, others): (Vec<_>, Vec<_>) =
        programs::build()?.into_iter().partition(|program| program.is_of(E2E));
    let (guests, units): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|program| GUESTS.iter().any(|guests| program.is_of(guests)));
    step("unit tests");
    unit_tests(units, filter)?;
    let hearth = artifacts::build()?.hearth;
    step("tests with guests");
    with_guests(guests, &[], filter)?;
    if filter.is_none() {
        step("the images' runtimes");
        let runtimes = installed("runtimes")?;
        shell::run(&mut root::ours(runtimes.as_os_str(), &[no_bytecode()])?)?;
        step("the runtime of Java, without a guest");
        let java = path::root().join("tests/runtimes/java/run");
        let with_hearth = ("HEARTH_BIN", hearth.as_os_str());
        shell::run(&mut root::ours(java.as_os_str(), &[with_hearth, no_bytecode()])?)?;
    }
    step("end to end: in Rust; boto3, AWS CLI, raw HTTP");
    // Those tests deploy them, and leave building them to us.
    artifacts::rust_example()?;
    artifacts::java_functions()?;
    let with_hearth = ("HEARTH_BIN", hearth.as_os_str());
    if filter.is_none() {
        // The longest first.
        end_to_end.insert(0, Program::script(installed("clients")?)?);
    }
    with_guests(end_to_end, &[with_hearth, no_bytecode()], filter)
}

/// All crates' but those that boot guests, and what is written beside the code.
fn unit_tests(units: Vec<Program>, filter: Option<&String>) -> anyhow::Result<()> {
    programs::run(units, UNITS_AT_ONCE, |program| {
        let mut command = Command::new(program);
        command.args(filter);
        Ok(command)
    })?;
    shell::run(cargo().args(["test", "--workspace", "--locked", "--doc", "--quiet"]).args(filter))
}

/// Those that run as root.
fn with_guests(
    all: Vec<Program>,
    variables: &[(&str, &OsStr)],
    filter: Option<&String>,
) -> anyhow::Result<()> {
    let command = |program: &Path| {
        let mut command = root::ours(program.as_os_str(), variables)?;
        command.args(filter);
        Ok(command)
    };
    let (idle, busy) = all.into_iter().partition(|program| IDLE.contains(&program.name()));
    programs::run(idle, IDLE_AT_ONCE, command)?;
    programs::run(busy, 1, command)
}

/// The program that runs the tests in Python under `tests/NAME`, once what they need is there:
/// that is fetched as us.
fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let program = path::root().join("tests").join(name).join("run");
    shell::run(Command::new(&program).arg("--install"))?;
    Ok(program)
}
