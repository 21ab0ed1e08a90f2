//! `cargo xtask test`: everything, the quick first.
//!
//! ```text
//! layers ─► unit tests ─► release build and images ─► guests ─► tests/runtimes
//!        ─► tests/e2e ─► tests/clients
//! ```
//!
//! What boots guests runs as root, through sudo if need be; cargo never does.
//! The end-to-end suites drive the release binary, because that is what people
//! run; they find it in `HEARTH_BIN`.

use crate::shell::{self, cargo, step};
use crate::{apt, artifacts, layers, path, programs, root};
use std::ffi::OsStr;
use std::process::Command;

/// The crate of end-to-end tests in Rust.
const E2E: &str = "hearth-e2e";
/// The crates whose tests boot guests, build images or mount file systems.
const GUESTS: [&str; 3] = ["hearth-images", "hearth-page-server", "hearth-vmm"];

/// Unit tests' programs at once: most wait for timers and servers.
const UNITS_AT_ONCE: usize = 3;

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
    step("unit tests");
    unit_tests(filter)?;
    let hearth = artifacts::build()?.hearth;
    step("tests with guests");
    let mut guests = cargo();
    root::run_by(&mut guests, &[])?;
    guests.args(["test", "--locked"]);
    for package in GUESTS {
        guests.args(["--package", package]);
    }
    shell::run(guests.args(filter))?;
    if filter.is_none() {
        step("the images' runtimes");
        python("runtimes", &[])?;
        step("the runtime of Java, without a guest");
        let java = path::root().join("tests/runtimes/java/run");
        let with_hearth = ("HEARTH_BIN", hearth.as_os_str());
        shell::run(&mut root::ours(java.as_os_str(), &[with_hearth, no_bytecode()])?)?;
    }
    step("end to end, in Rust");
    // Those tests deploy them, and leave building them to us.
    artifacts::rust_example()?;
    artifacts::java_functions()?;
    let with_hearth = ("HEARTH_BIN", hearth.as_os_str());
    let mut end_to_end = cargo();
    root::run_by(&mut end_to_end, &[with_hearth])?;
    // One after the other: guests that are emulated need all of the processors.
    shell::run(end_to_end.args(["test", "--locked", "-p", E2E]).args(filter))?;
    if filter.is_none() {
        step("end to end: boto3, AWS CLI, raw HTTP");
        python("clients", &[with_hearth])?;
    }
    Ok(())
}

/// All crates' but those that boot guests.
fn unit_tests(filter: Option<&String>) -> anyhow::Result<()> {
    let test = || {
        let mut test = cargo();
        test.args(["test", "--workspace", "--locked", "--exclude", E2E]);
        for package in GUESTS {
            test.args(["--exclude", package]);
        }
        test
    };
    programs::run(programs::build(&mut test())?, UNITS_AT_ONCE, |program| {
        let mut command = Command::new(program);
        command.args(filter);
        Ok(command)
    })?;
    shell::run(test().args(["--doc", "--quiet"]).args(filter))
}

/// Runs the tests in Python under `tests/NAME`, which fetch what they need as us
/// and then run as root.
fn python(name: &str, variables: &[(&str, &OsStr)]) -> anyhow::Result<()> {
    let program = path::root().join("tests").join(name).join("run");
    shell::run(Command::new(&program).arg("--install"))?;
    let variables = [variables, &[no_bytecode()]].concat();
    shell::run(&mut root::ours(program.as_os_str(), &variables)?)
}
