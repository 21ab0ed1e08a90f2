//! Who starts and stops workers.

mod child;
mod command;
mod process;
#[cfg(test)]
mod scripts;

pub use command::CommandProvider;
pub use process::ProcessProvider;

use async_trait::async_trait;
use hearth_types::{NodeName, WorkerId, ZoneName};
use serde::Serialize;

/// A worker that is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Its node.
    pub node: NodeName,
    /// Itself.
    pub worker: WorkerId,
    /// Where it stands.
    pub zone: ZoneName,
}

/// A node that was started, and is no more though nobody stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub node: NodeName,
    /// Where it stood.
    pub zone: ZoneName,
}

/// Why workers were not started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Nothing was done.
    #[error("{0}")]
    Failed(String),
    /// Nothing was done, for a reason of the host's.
    #[error("{what}")]
    Host {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// It took too long: whether it was done nobody knows.
    #[error("it took longer than it may")]
    TimedOut,
}

/// Starts and stops workers.
///
/// What it is asked for it may do twice: an order whose outcome nobody knows is given again.
#[async_trait]
pub trait WorkerProvider: Send + Sync {
    /// Has so many workers started in a zone. They need not be there when this returns.
    ///
    /// Whoever drops the call does not know what was done.
    async fn scale_up(&self, zone: &ZoneName, count: u32) -> Result<(), ProviderError>;

    /// Has a worker stopped. That it is gone already is no error.
    async fn scale_down(&self, machine: &Machine) -> Result<(), ProviderError>;

    /// Whether it could stop this node.
    fn owns(&self, node: &NodeName) -> bool;

    /// What ended by itself since this was asked last.
    fn ended(&self) -> Vec<Ended> {
        Vec::new()
    }
}
