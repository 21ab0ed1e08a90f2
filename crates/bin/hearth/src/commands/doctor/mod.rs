//! `hearth doctor`: what this host can run, what is missing, and the command
//! that mends each thing.

mod checks;
mod host;

use crate::output::{self, Output};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `hearth doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Fails (exit code 1) only if something that `hearth up` needs is missing.")]
pub(crate) struct DoctorArgs {
    /// The data directory that a server would use
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_data_dir())]
    data_dir: PathBuf,
    /// Where guest images are kept
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_image_cache())]
    image_cache: PathBuf,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Hearth runs, but less well.
    Weak,
    /// Hearth cannot run.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    /// What.
    what: &'static str,
    /// How it came out.
    verdict: Verdict,
    /// What was found.
    found: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, found: found.into(), mend: None }
    }

    fn weak(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Weak, found: found.into(), mend: Some(mend.into()) }
    }

    fn missing(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Missing, found: found.into(), mend: Some(mend.into()) }
    }
}

/// Looks at everything and prints it.
pub(crate) async fn run(args: DoctorArgs, output: Output) -> anyhow::Result<()> {
    let findings = checks::all(&args.data_dir, &args.image_cache);
    match output {
        Output::Json => output::json(&findings)?,
        Output::Table => output::text(&render(&findings))?,
    }
    let missing = findings.iter().filter(|f| f.verdict == Verdict::Missing).count();
    anyhow::ensure!(missing == 0, "{missing} of the things above must be mended first");
    Ok(())
}

fn render(findings: &[Finding]) -> String {
    let mut text = String::new();
    let widest = findings.iter().map(|f| f.what.len()).max().unwrap_or(0);
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Ok => "✓",
            Verdict::Weak => "!",
            Verdict::Missing => "✗",
        };
        text += &format!("{mark} {:<widest$}  {}\n", finding.what, finding.found);
        if let Some(mend) = &finding.mend {
            text += &format!("  {:<widest$}  → {mend}\n", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_followed_by_what_mends_it() {
        let findings =
            [Finding::ok("root", "yes"), Finding::missing("nft", "not found", "apt-get install x")];
        assert_eq!(
            render(&findings),
            "✓ root  yes\n✗ nft   not found\n        → apt-get install x\n"
        );
    }
}
