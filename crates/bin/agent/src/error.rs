//! The error of setting up a guest: which step, and what the kernel said.

use std::io;

/// A step of setting up the guest failed; the sandbox is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// A step failed.
    #[error("{step}")]
    Step {
        /// What was tried, with its object.
        step: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is nothing that could be run.
    #[error("{0}")]
    NoEntrypoint(String),
}

impl SetupError {
    /// The error with its cause, for the operator's log.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Step { step, source } => format!("{step}: {source}"),
            Self::NoEntrypoint(why) => why.clone(),
        }
    }
}

/// Names the step that an error belongs to.
pub(crate) trait During<T> {
    /// Wraps the error; the text is only made when there is one.
    fn during(self, step: impl FnOnce() -> String) -> Result<T, SetupError>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, step: impl FnOnce() -> String) -> Result<T, SetupError> {
        self.map_err(|e| SetupError::Step { step: step(), source: e.into() })
    }
}
