//! What one node at a time does for all: it has snapshots built, and clears away what
//! nothing names and nothing needs.

use super::garbage::Garbage;
use hearth_cluster::{Membership, Turn};
use hearth_control::ControlService;
use hearth_services::keys;
use hearth_services::metastore::{LeaseId, MetaStore};
use hearth_tasks::spawn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often a node looks whether it is its turn.
const CLAIM_INTERVAL: Duration = Duration::from_secs(1);
/// How often what nothing names is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// How soon that is done first.
const FIRST_SWEEP: Duration = Duration::from_secs(60);

/// Takes its turns until `stop`.
pub(super) async fn take_turns(
    store: Arc<dyn MetaStore>,
    membership: Arc<Membership>,
    control: Arc<ControlService>,
    garbage: Arc<Garbage>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let lease = tokio::select! {
            () = stop.cancelled() => return,
            lease = membership.joined() => lease,
        };
        match Turn::claim(&*store, keys::CONTROL, membership.me().life, lease).await {
            Ok(Some(turn)) => {
                take_turn(&store, &membership, (&control, &garbage), lease, &stop).await;
                turn.give_back(&*store).await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot find out whose turn control is; trying again"
            ),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(CLAIM_INTERVAL) => {}
        }
    }
}

async fn take_turn(
    store: &Arc<dyn MetaStore>,
    membership: &Membership,
    (control, garbage): (&Arc<ControlService>, &Arc<Garbage>),
    lease: LeaseId,
    stop: &CancellationToken,
) {
    tracing::info!("control is this node's");
    let over = stop.child_token();
    let builder = spawn("builder", Arc::clone(control).build_snapshots(over.clone()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = membership.lost(lease) => {}
        () = sweep_forever(control) => {}
        never = Arc::clone(garbage).collect_forever() => match never {},
        error = control.follow_published(&**store) => {
            tracing::warn!(error = &error as &dyn std::error::Error,
                "what is published cannot be followed; beginning again");
        }
    }
    over.cancel();
    // Its panic has been logged.
    let _panicked = builder.await;
}

async fn sweep_forever(control: &ControlService) {
    // Workers may be starting too, and some of it they do.
    sleep(FIRST_SWEEP).await;
    loop {
        if let Err(error) = control.sweep().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a sweep failed");
        }
        sleep(SWEEP_INTERVAL).await;
    }
}
