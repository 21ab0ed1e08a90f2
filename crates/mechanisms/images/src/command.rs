//! Running a host tool to its end: inputs explicit, output captured, failure
//! told with the last lines that the tool itself wrote.

use hearth_programs::{Missing, Program};
use std::path::Path;
use std::process::{Command, Stdio};

/// How much of a failed tool's own words an error repeats.
const TAIL_LINES_MAX: usize = 8;

/// A host tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// It could not be started.
    #[error("{tool} could not be started")]
    Start {
        /// Its name.
        tool: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("{tool} failed ({status}): {tail}")]
    Failed {
        /// Its name.
        tool: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it wrote.
        tail: String,
    },
}

/// A command that runs this tool of the host.
pub(crate) fn of(tool: Program) -> Result<Command, ToolError> {
    Ok(tool.command()?)
}

/// Runs `command` and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>, ToolError> {
    // Tools sort, format and parse by locale and zone: images must not.
    command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").stdin(Stdio::null());
    let tool = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let tool = tool.to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(source) => return Err(ToolError::Start { tool, source }),
    };
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].join("; ");
    Err(ToolError::Failed { tool, status: output.status, tail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_repeats_the_tools_last_words() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo why >&2; exit 3"]));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("sh failed") && text.contains("why"), "{text}");
    }
}
