//! One sandbox.

use crate::moment::Moment;
use crate::running::Account;
use hearth_services::assignment::{SandboxInfo, SandboxState};
use hearth_types::{
    FunctionVersion, Hold, MemoryMb, Room, SandboxId, Timestamp, VersionKey, WorkerId,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What of a sandbox outlives its leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Whose it is.
    pub key: Arc<VersionKey>,
    /// Its function's memory.
    pub memory: MemoryMb,
    /// What its function needs.
    pub room: Room,
    /// When it was begun.
    pub created: Timestamp,
    /// Unknown while it starts.
    pub worker: Option<WorkerId>,
}

/// What an invocation wants a sandbox of.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Exactly this version and revision.
    pub key: &'a VersionKey,
    /// Its memory.
    pub memory: MemoryMb,
    /// What it needs.
    pub room: Room,
}

impl<'a> From<&'a FunctionVersion> for Wanted<'a> {
    fn from(version: &'a FunctionVersion) -> Self {
        Self { key: &version.key, memory: version.memory, room: version.room() }
    }
}

pub(crate) struct Entry {
    pub(crate) owned: Owned,
    /// Whose limit its invocations count against.
    pub(crate) account: Arc<Account>,
    pub(crate) state: SandboxState,
    /// Whose it is, or was last. None of a sandbox that an earlier leader began and no
    /// worker has told of.
    pub(crate) hold: Option<Hold>,
    /// How often its worker said that it runs nothing, while it is busy here.
    pub(crate) quiet: u8,
    /// Since when it is what it is.
    pub(crate) since: Duration,
    /// Where it is among the idle ones, while it is idle.
    pub(crate) place: u64,
    /// Its version is no more: it dies when it is released.
    pub(crate) retired: bool,
    last_used: Timestamp,
    pub(crate) invocations: u64,
}

impl Entry {
    pub(crate) fn starting(
        wanted: &Wanted<'_>,
        account: Arc<Account>,
        hold: Hold,
        now: Moment,
    ) -> Self {
        let owned = Owned {
            key: Arc::new(wanted.key.clone()),
            memory: wanted.memory,
            room: wanted.room,
            created: now.day,
            worker: None,
        };
        Self { hold: Some(hold), ..Self::inherited(owned, account, now) }
    }

    pub(crate) fn inherited(owned: Owned, account: Arc<Account>, now: Moment) -> Self {
        Self {
            owned,
            account,
            state: SandboxState::Starting,
            hold: None,
            quiet: 0,
            since: now.at,
            place: 0,
            retired: false,
            last_used: now.day,
            invocations: 0,
        }
    }

    pub(crate) fn become_busy(&mut self, hold: Hold, now: Moment) {
        self.state = SandboxState::Busy;
        self.hold = Some(hold);
        self.quiet = 0;
        self.since = now.at;
        self.last_used = now.day;
        self.invocations += 1;
    }

    /// Whether an invocation is counted for it.
    pub(crate) fn has_event(&self) -> bool {
        match self.state {
            SandboxState::Busy => true,
            SandboxState::Starting => self.invocations > 0,
            SandboxState::Idle => false,
        }
    }

    pub(crate) fn become_idle(&mut self, now: Moment) {
        self.state = SandboxState::Idle;
        self.since = now.at;
        self.last_used = now.day;
    }

    pub(crate) fn info(&self, id: SandboxId) -> SandboxInfo {
        SandboxInfo {
            id,
            worker: self.owned.worker,
            function: self.owned.key.function.clone(),
            version: self.owned.key.version,
            memory: self.owned.memory,
            state: self.state,
            created: self.owned.created,
            last_used: self.last_used,
            invocations: self.invocations,
        }
    }
}
