//! What one round of one contender came to.

/// Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// From the request to the start of the VMM; a bare guest has no request.
    pub(crate) before: f64,
    /// From the start of the VMM to the agent's first word.
    pub(crate) boot: f64,
    /// Until the guest has its identity.
    pub(crate) identity: f64,
    /// Until the runtime asks for its first event.
    pub(crate) init: f64,
    /// All of the cold start. For a bare guest up to there; for Hearth all that
    /// the client waited, less the function's run, so a little more.
    pub(crate) cold: f64,
    /// Of the warm invokes: what the caller waited less the function's run.
    pub(crate) overhead_p50: f64,
    /// Likewise.
    pub(crate) overhead_p99: f64,
}
