//! Clearing away what a killed predecessor on the same state directory left.
//!
//! Most of it is gone by itself: VMMs die with the thread that started them,
//! and their namespaces, taps and veths with them. What stays is named after
//! the instance, and the instance's directory is locked by now, so nothing
//! that a living process uses can be meant.

use crate::OpenError;
use crate::cgroup::Tree;
use crate::instance::Instance;
use crate::network;

/// Removes left-over processes, cgroups and firewall rules. Blocks.
pub(crate) fn reap(instance: &Instance) -> Result<(), OpenError> {
    let killed = Tree::locate(instance.id())?.destroy().map_err(OpenError::Reap)?;
    if killed > 0 {
        tracing::warn!(killed, "killed VMMs that an earlier hearth left behind");
    }
    network::reap(instance)?;
    Ok(())
}
