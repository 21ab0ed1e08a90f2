//! Workers that were asked for and are not there yet. Until their time is over they count,
//! so that they are not asked for again.

use hearth_services::keys;
use hearth_types::{Timestamp, WorkerId, ZoneName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most that may be on their way at once.
pub(crate) const COMING_MAX: usize = 256;

/// One worker that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ask {
    zone: ZoneName,
    /// When, since the Unix epoch.
    at_ms: u64,
    until_ms: u64,
}

/// Those that are on their way, as stored under [`keys::CAPACITY_COMING`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Coming {
    /// Oldest first.
    asks: Vec<Ask>,
    /// Those that came while others are still awaited: none stands for two.
    came: BTreeSet<WorkerId>,
}

impl Coming {
    pub(crate) fn count(&self) -> usize {
        self.asks.len()
    }

    pub(crate) fn count_in(&self, zone: &ZoneName) -> usize {
        self.asks.iter().filter(|ask| ask.zone == *zone).count()
    }

    /// As many more as there may be.
    pub(crate) fn ask(&mut self, zone: &ZoneName, count: u32, now: Duration, max: Duration) -> u32 {
        let count = count.min((COMING_MAX - self.asks.len().min(COMING_MAX)) as u32);
        let (at_ms, until_ms) = (millis(now), millis(now + max));
        let ask = Ask { zone: zone.clone(), at_ms, until_ms };
        self.asks.extend(std::iter::repeat_n(ask, count as usize));
        count
    }

    /// A worker is there. `began` is when it started, of one that may have been there
    /// before it was asked for. Whether anything changed.
    pub(crate) fn came(
        &mut self,
        worker: WorkerId,
        zone: &ZoneName,
        began: Option<Timestamp>,
    ) -> bool {
        let is_for = |ask: &Ask| {
            ask.zone == *zone && began.is_none_or(|began| millis_of(began) >= ask.at_ms)
        };
        let Some(first) = self.asks.iter().position(is_for) else { return false };
        if !self.came.insert(worker) {
            return false;
        }
        self.asks.remove(first);
        self.forget_if_done();
        true
    }

    /// So many will not come; the latest.
    pub(crate) fn give_up(&mut self, zone: &ZoneName, count: u32) {
        for _ in 0..count {
            let Some(last) = self.asks.iter().rposition(|ask| ask.zone == *zone) else { break };
            self.asks.remove(last);
        }
        self.forget_if_done();
    }

    /// Those whose time is over, by zone.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<ZoneName> {
        let now_ms = millis(now);
        let late = self.asks.extract_if(.., |ask| ask.until_ms <= now_ms);
        let late = late.map(|ask| ask.zone).collect();
        self.forget_if_done();
        late
    }

    fn forget_if_done(&mut self) {
        if self.asks.is_empty() {
            self.came.clear();
        }
        // More can have come only if some were asked for again and again.
        while self.came.len() > COMING_MAX {
            self.came.pop_first();
        }
    }

    pub(crate) fn encode(&self) -> bytes::Bytes {
        keys::encode(self)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn millis_of(time: Timestamp) -> u64 {
    time.0.max(0) as u64
}
