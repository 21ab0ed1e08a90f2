//! Installs what is missing, and only that: with everything there, apt is not
//! even asked.

mod needs;
mod sources;

use crate::root;
use crate::shell::{run, step};
use anyhow::{Context, bail};
use hearth_programs::Program;
use needs::Need;
pub(crate) use needs::Purpose;
use std::path::Path;
use std::process::Stdio;

const APT_GET: Program = Program::new("apt-get", "apt");
const ENV: Program = Program::new("env", "coreutils");
const TEE: Program = Program::new("tee", "coreutils");
/// Where apt keeps its configuration.
const APT_DIR: &str = "/etc/apt";

/// Makes sure that everything for this purpose is installed.
pub(crate) fn ensure(purpose: Purpose) -> anyhow::Result<()> {
    let missing = needs::missing(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        step(&format!("installing {}: {}", need.package, need.reason));
    }
    if APT_GET.find().is_err() {
        bail!("this machine has no apt; please install: {}", names(&missing));
    }
    root::ensure()?;
    let release = Release::read()?;
    if release.is_bookworm() && missing.iter().any(|n| n.newer_than_bookworm) {
        ensure_backports(&release.codename)?;
    }
    run(root::system(APT_GET)?.args(["update", "-qq"]))?;
    install(&missing, &release)?;
    let still = needs::missing(purpose);
    if !still.is_empty() {
        bail!("still missing after apt-get install: {}", names(&still));
    }
    Ok(())
}

fn install(missing: &[&Need], release: &Release) -> anyhow::Result<()> {
    // From backports only what must come from there.
    let (newer, plain): (Vec<&Need>, Vec<&Need>) =
        missing.iter().partition(|n| release.is_bookworm() && n.newer_than_bookworm);
    let backports = format!("{}-backports", release.codename);
    for (needs, suite) in [(plain, None), (newer, Some(backports.as_str()))] {
        if needs.is_empty() {
            continue;
        }
        let mut apt = root::system(ENV)?;
        apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "-qq"]);
        apt.arg("--no-install-recommends");
        apt.args(suite.iter().flat_map(|suite| ["--target-release", suite]));
        apt.args(needs.iter().map(|n| n.package));
        run(&mut apt)?;
    }
    Ok(())
}

fn names(needs: &[&Need]) -> String {
    needs.iter().map(|n| n.package).collect::<Vec<_>>().join(" ")
}

/// Adds the release's backports, from the mirror and with the keyring that the
/// machine uses for the release itself, unless some source has them already.
fn ensure_backports(codename: &str) -> anyhow::Result<()> {
    let sources = sources::read(Path::new(APT_DIR))?;
    let suite = format!("{codename}-backports");
    if sources.iter().any(|s| s.suites.contains(&suite)) {
        return Ok(());
    }
    let main = sources
        .iter()
        .find(|s| s.suites.iter().any(|s| s == codename))
        .with_context(|| format!("no source in {APT_DIR} has the suite {codename}"))?;
    let file = format!("{APT_DIR}/sources.list.d/{suite}.sources");
    step(&format!("adding {file}"));
    let mut tee = root::system(TEE)?;
    let mut child = tee.arg(&file).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let text = main.with_suite(&suite).to_deb822();
    std::io::Write::write_all(
        &mut child.stdin.take().context("tee has no stdin")?,
        text.as_bytes(),
    )?;
    anyhow::ensure!(child.wait()?.success(), "could not write {file}");
    Ok(())
}

/// Which Debian this is.
struct Release {
    codename: String,
}

impl Release {
    fn read() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
        let codename = text
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .map(|name| name.trim_matches('"').to_owned())
            .context("/etc/os-release names no VERSION_CODENAME")?;
        Ok(Self { codename })
    }

    fn is_bookworm(&self) -> bool {
        self.codename == "bookworm"
    }
}
