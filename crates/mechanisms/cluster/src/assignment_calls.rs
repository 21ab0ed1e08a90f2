//! `Assignment` across processes: one partition's leader, asked by front ends. What every warm
//! invoke asks is in `warm_calls`.

use crate::leaders::{Leaders, NotLed};
use crate::other_leaders::serve_leaders;
use crate::warm_calls::serve_warm;
use crate::wire::{AcquireFailure, WITH_FAILURE_BYTES_MAX};
use hearth_rpc::{CallError, Channel, Method, Router};
use hearth_services::assignment::{AcquireError, Acquired, SandboxInfo};
use hearth_types::{AccountId, FunctionVersion, INIT_SNAPSHOT_S, Partition, StartKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const ACQUIRE: Method =
    Method::new("hearth.Assignment/Acquire").answer_bytes_max(WITH_FAILURE_BYTES_MAX);
const LIST: Method = Method::new("hearth.Assignment/List").answer_bytes_max(LIST_BYTES_MAX);

/// Of an account's sandboxes, some 300 bytes each.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest acquire: eight rounds of making room, and the longest creation.
const ACQUIRE_MAX: Duration = Duration::from_secs(120 + 4 * INIT_SNAPSHOT_S);
const LIST_MAX: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Acquire {
    partition: Partition,
    version: Arc<FunctionVersion>,
    quickest: StartKind,
}

type AcquireAnswer = Result<Result<Acquired, AcquireFailure>, NotLed>;

/// Serves what is led in this process.
pub fn serve_assignment(router: Router, leaders: Arc<dyn Leaders>) -> Router {
    let [acquire, list] = std::array::from_fn(|_| Arc::clone(&leaders));
    serve_leaders(serve_warm(router, Arc::clone(&leaders)), leaders)
        .method(ACQUIRE, move |_, Acquire { partition, version, quickest }| {
            let leaders = Arc::clone(&acquire);
            async move {
                let acquired = leaders.acquire(partition, &version, quickest).await?;
                AcquireAnswer::Ok(acquired.map_err(AcquireFailure::from))
            }
        })
        .method(LIST, move |_, account: AccountId| {
            let leaders = Arc::clone(&list);
            async move { leaders.list(&account).await }
        })
}

/// See [`Leaders::acquire`].
pub(crate) async fn acquire(
    leader: &Channel,
    partition: Partition,
    version: &Arc<FunctionVersion>,
    quickest: StartKind,
) -> Result<Result<Result<Acquired, AcquireError>, NotLed>, CallError> {
    let request = Acquire { partition, version: Arc::clone(version), quickest };
    let answer: AcquireAnswer =
        leader.call(&ACQUIRE, &request, Instant::now() + ACQUIRE_MAX).await?;
    Ok(match answer {
        Ok(Ok(acquired)) => Ok(Ok(acquired)),
        Ok(Err(failure)) => Ok(Err(failure.into())),
        Err(not_led) => Err(not_led),
    })
}

/// See [`Leaders::list`].
pub(crate) async fn list(
    node: &Channel,
    account: &AccountId,
) -> Result<Vec<SandboxInfo>, CallError> {
    node.call(&LIST, account, Instant::now() + LIST_MAX).await
}
