//! Acquiring: an idle sandbox, else a new one, else room made for a new one.

use crate::AssignmentService;
use crate::ledger::Record;
use crate::metrics::acquired_warm;
use hearth_cluster::Idle;
use hearth_sandboxes::{Begin, Table};
use hearth_services::assignment::{AcquireError, Acquired};
use hearth_services::placement::{PlaceError, Placed};
use hearth_services::worker::CreateError;
use hearth_types::{FunctionVersion, SandboxId, StageTimes, StartKind, VersionKey};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;

/// How often room is made for one sandbox before giving up. Another request
/// may take the room just made; more rounds would only fan the contention.
const ROOM_ROUNDS_MAX: usize = 8;

impl AssignmentService {
    /// An idle sandbox, if there is one and its account may run another event.
    pub(crate) fn acquire_idle(&self, version: &VersionKey) -> Option<Idle> {
        let now = self.now();
        let (sandbox, worker, hold) = self.table.lock().begin_idle(version, now)?;
        acquired_warm();
        Some(Idle { sandbox, worker, hold })
    }

    pub(crate) async fn acquire_or_create(
        &self,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Acquired, AcquireError> {
        let began = Instant::now();
        let now = self.moment(began);
        let begin = self.table.lock().begin(&(&**version).into(), quickest, now, SandboxId::new);
        match begin {
            Begin::OverConcurrency => Err(AcquireError::AccountConcurrency),
            Begin::Warm(sandbox, worker, hold) => {
                let stages = StageTimes { assign: began.elapsed(), ..StageTimes::default() };
                Ok(Acquired { sandbox, worker, hold, start: StartKind::Warm, stages })
            }
            Begin::Start(sandbox, hold) => {
                let starting = Starting::new(&self.table, sandbox);
                let (written, Placed { worker, created }) =
                    self.start(sandbox, version, quickest, true).await?;
                let now = self.now();
                starting.became(|table| table.started(sandbox, worker, now));
                let assign = written.duration_since(began);
                let stages = StageTimes { assign, ..created.stages };
                Ok(Acquired { sandbox, worker, hold, start: created.start, stages })
            }
        }
    }

    /// Has it created, and written down before and after; when that was the first time.
    /// If no worker has room, that is the end of it unless room is made.
    pub(crate) async fn start(
        &self,
        sandbox: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
        makes_room: bool,
    ) -> Result<(Instant, Placed), AcquireError> {
        if let Some(ownership) = &self.ownership {
            let owned = self.table.lock().owned_of(sandbox);
            let owned = owned.ok_or_else(|| AcquireError::Unserved("it was given up".into()))?;
            let placing = ownership.placing(sandbox, owned).await;
            placing.map_err(|error| AcquireError::Unserved(Box::new(error)))?;
        }
        let written = Instant::now();
        let placed = if makes_room {
            self.place_making_room(sandbox, version, quickest).await
        } else {
            self.placement.place(sandbox, version, quickest, self.reign).await
        };
        match placed {
            Ok(placed) => {
                // Not waited for: another leader would hear of it from the worker.
                self.note_in_background(Record::Ready(sandbox, placed.worker));
                Ok((written, placed))
            }
            Err(error) => {
                self.note_in_background(Record::Ended(sandbox));
                if !self.may_serve() {
                    return Err(AcquireError::Unserved(Box::new(error)));
                }
                Err(match error {
                    PlaceError::Create(CreateError::Deposed(deposed))
                        if self.is_over(None, deposed).await =>
                    {
                        AcquireError::Unserved(Box::new(deposed))
                    }
                    error => acquire_error(error),
                })
            }
        }
    }

    /// Places the sandbox; while no worker has room, makes some.
    async fn place_making_room(
        &self,
        sandbox: SandboxId,
        version: &Arc<FunctionVersion>,
        quickest: StartKind,
    ) -> Result<Placed, PlaceError> {
        for _ in 0..ROOM_ROUNDS_MAX {
            // Before the try, so that no kill that ends after it goes unnoticed.
            let mut kills = self.kills.under_way();
            let short = match self.placement.place(sandbox, version, quickest, self.reign).await {
                Err(PlaceError::NoCapacity(short)) => short,
                done => return done,
            };
            if !self.may_serve() || !self.make_room(&short, &mut kills).await {
                break;
            }
        }
        self.placement.place(sandbox, version, quickest, self.reign).await
    }
}

/// A sandbox that is noted as starting. However its making ends, it comes to something or is
/// forgotten, and its invocation with it if it has one.
pub(crate) struct Starting<'a> {
    table: &'a Mutex<Table>,
    sandbox: Option<SandboxId>,
}

impl<'a> Starting<'a> {
    pub(crate) fn new(table: &'a Mutex<Table>, sandbox: SandboxId) -> Self {
        Self { table, sandbox: Some(sandbox) }
    }

    /// It is there, and no longer what it was.
    pub(crate) fn became<T>(mut self, what: impl FnOnce(&mut Table) -> T) -> T {
        self.sandbox = None;
        what(&mut self.table.lock())
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Some(sandbox) = self.sandbox {
            self.table.lock().forget(sandbox);
        }
    }
}

fn acquire_error(error: PlaceError) -> AcquireError {
    match error {
        PlaceError::NoCapacity(_)
        | PlaceError::Create(CreateError::NoCapacity | CreateError::Unreachable(_)) => {
            AcquireError::NoCapacity
        }
        PlaceError::Create(CreateError::InitFailed { failure, stages }) => {
            AcquireError::InitFailed { failure, stages }
        }
        PlaceError::Create(error) => AcquireError::Create(error),
    }
}
