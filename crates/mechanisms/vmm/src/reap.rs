//! Clearing away what killed instances left: a predecessor on the same state
//! directory, and any other, which may never start again.
//!
//! Most of it is gone by itself: VMMs die with the thread that started them,
//! and their namespaces, taps and veths with them. What stays is in the
//! instance's [`Traces`], whose lock is ours by now, so nothing that a living
//! process uses can be meant.

use crate::OpenError;
use crate::cgroup;
use crate::instance::Instance;
use crate::network;
use crate::traces::Traces;

/// Removes left-over processes, cgroups and firewall rules. Blocks.
pub(crate) fn reap(instance: &Instance) -> Result<(), OpenError> {
    clear(instance.traces())?;
    for dead in Traces::of_the_dead().map_err(OpenError::Reap)? {
        // A later start tries again; ours does not depend on it.
        if let Err(error) = clear_away(&dead) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(instance = dead.id(), error, "what a killed hearth left stays");
        }
    }
    Ok(())
}

/// Of another network namespace the rest stays written down for a start there;
/// mostly it went with the namespace.
fn clear_away(dead: &Traces) -> Result<(), OpenError> {
    if dead.are_here().map_err(OpenError::Reap)? {
        clear(dead)?;
        dead.forget().map_err(OpenError::Reap)
    } else {
        clear_cgroups(dead)?;
        dead.cgroups().write(&[]).map_err(OpenError::Reap)
    }
}

fn clear(traces: &Traces) -> Result<(), OpenError> {
    clear_cgroups(traces)?;
    network::reap(traces)?;
    Ok(())
}

fn clear_cgroups(traces: &Traces) -> Result<(), OpenError> {
    let roots = traces.cgroups().lines().map_err(OpenError::Reap)?;
    let killed = cgroup::destroy(roots).map_err(OpenError::Reap)?;
    if killed > 0 {
        tracing::warn!(killed, "killed VMMs that an earlier hearth left behind");
    }
    Ok(())
}
