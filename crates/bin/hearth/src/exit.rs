//! Exit codes, and the one line on stderr that goes with each.
//!
//! ```text
//! 0  done
//! 1  failed
//! 2  the command line is wrong
//! 3  the server answered with an error
//! 4  the function failed (its error is on stdout)
//! 5  no server could be reached
//! ```

use crate::client::{ApiError, ConnectError};
use std::process::ExitCode;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const SERVER_ERROR: u8 = 3;
const FUNCTION_ERROR: u8 = 4;
const UNREACHABLE: u8 = 5;

/// The function was invoked and failed; its own error has been printed.
#[derive(Debug, thiserror::Error)]
#[error("the function failed: {kind}")]
pub(crate) struct FunctionFailed {
    /// `X-Amz-Function-Error`, with the error's type when it has one.
    pub(crate) kind: String,
}

/// Prints an error with its causes on one line; the exit code says its class.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("hearth: {}", one_line(&format!("{error:#}")));
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    let is = |class: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(class);
    if is(|e| e.is::<ApiError>()) {
        SERVER_ERROR
    } else if is(|e| e.is::<FunctionFailed>()) {
        FUNCTION_ERROR
    } else if is(|e| e.is::<ConnectError>()) {
        UNREACHABLE
    } else {
        FAILED
    }
}

/// Help and version go to stdout as they are; a wrong command line becomes one
/// line that names the mistake and where to read on.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away wanted no more of it.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let rendered = error.render().to_string();
    if rendered.starts_with("error: ") {
        // clap's first paragraph is the mistake, the rest is usage.
        let mistake = rendered.split("\n\n").next().unwrap_or(&rendered);
        eprintln!("hearth: {} (see --help)", one_line(mistake.trim_start_matches("error: ")));
    } else {
        // No subcommand at all: clap renders the help page.
        let _ = error.print();
    }
    ExitCode::from(USAGE)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_class_is_found_under_context() {
        let error = Err::<(), _>(FunctionFailed { kind: "Unhandled".into() })
            .context("invoking")
            .unwrap_err();
        assert_eq!(code(&error), FUNCTION_ERROR);
        assert_eq!(code(&anyhow::anyhow!("disk full")), FAILED);
    }

    #[test]
    fn errors_take_one_line() {
        assert_eq!(one_line("a\n  b\t c\n"), "a b c");
    }
}
