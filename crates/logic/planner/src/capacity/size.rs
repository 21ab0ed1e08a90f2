//! How many workers each zone should gain or lose.
//!
//! ```text
//!  workers │      ┌──────────┐ has
//!          │  ┌───┘          └─┐ at most a tenth of the zone a step
//!          │  │   ▁▁▁▁         └───
//!          │▁▁│▁▁▁    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁ wanted: at once upward; downward only if it was
//!          └────────────────────────► well below for CALM_STEPS in a row
//! ```

use crate::placement::Zone;

/// Of a zone's workers, one in so many may be added in a step, and one always.
const GAIN_ONE_IN: u32 = 5;
/// And one in so many taken: what is lost is paid for with cold starts, so more slowly.
const LOSE_ONE_IN: u32 = 10;
/// The fleet shrinks only if it has so many percent more than is wanted: less is noise.
const SLACK_PERCENT: u64 = 10;
/// And only if that was so for as many steps. With one a minute, half an hour: a dip that
/// is shorter costs less than the cold starts after it.
pub const CALM_STEPS: u32 = 30;
/// More workers than any fleet has, for sums that stay in range.
const WORKERS_MAX: u64 = 1 << 20;

/// What is in use and will be, in any unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// In use now.
    pub in_use: u64,
    /// What will rarely be exceeded until new workers are up.
    pub upper: u64,
    /// What one worker has.
    pub of_one_worker: u64,
    /// How much more than wanted there should be, in percent: for what no forecast knows,
    /// such as the loss of a zone.
    pub headroom_percent: u32,
}

/// The least and the most workers that a zone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Least.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// A zone as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneSize {
    /// Which zone.
    pub zone: Zone,
    /// Workers that serve, the empty ones counted.
    pub serving: u32,
    /// Workers that are starting.
    pub starting: u32,
    /// Of those that serve, without any sandbox.
    pub empty: u32,
    /// Workers that drain in order to be taken away.
    pub draining: u32,
    /// Of these, empty by now.
    pub drained: u32,
    /// Its bounds.
    pub limits: Limits,
}

/// What a zone should do. Workers that have sandboxes are drained before they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneChange {
    /// Which zone.
    pub zone: Zone,
    /// Draining workers that should serve again: quicker than new ones.
    pub keep: u32,
    /// Workers to be started.
    pub gain: u32,
    /// Serving workers to be drained, those with the fewest sandboxes first.
    pub drain: u32,
    /// Empty or drained workers to be taken away.
    pub lose: u32,
}

/// How many workers are wanted in all.
pub fn wanted_workers(load: &Load) -> u64 {
    let need = u128::from(load.in_use.max(load.upper));
    let need = need * (100 + u128::from(load.headroom_percent));
    let one = 100 * u128::from(load.of_one_worker.max(1));
    u64::try_from(need.div_ceil(one)).unwrap_or(u64::MAX).min(WORKERS_MAX)
}

/// What is remembered between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizing {
    /// Steps in a row in which there were more workers than wanted.
    calm: u32,
}

impl Sizing {
    /// What each zone should do now, and what to remember.
    #[must_use]
    pub fn step(self, load: &Load, zones: &[ZoneSize]) -> (Self, Vec<ZoneChange>) {
        let wanted = wanted_workers(load);
        let has: u64 = zones.iter().map(|z| u64::from(z.has())).sum();
        let slack = has * 100 > wanted * (100 + SLACK_PERCENT);
        let calm = if slack { self.calm.saturating_add(1).min(CALM_STEPS) } else { 0 };
        let shrinks = calm >= CALM_STEPS;
        let targets = targets(wanted, zones);
        let change = |(zone, target): (&ZoneSize, u32)| zone.change(target, shrinks);
        (Self { calm }, zones.iter().zip(targets).map(change).collect())
    }
}

impl ZoneSize {
    fn has(&self) -> u32 {
        self.serving.saturating_add(self.starting)
    }

    fn change(&self, target: u32, shrinks: bool) -> ZoneChange {
        let nothing = ZoneChange { zone: self.zone, keep: 0, gain: 0, drain: 0, lose: 0 };
        if target > self.has() {
            let missing = target - self.has();
            let keep = missing.min(self.draining);
            let most = self.has().div_ceil(GAIN_ONE_IN).max(1);
            let missing = (missing - keep).min(most);
            return ZoneChange { keep, gain: missing, ..nothing };
        }
        let most = self.has().div_ceil(LOSE_ONE_IN);
        let over_max = self.has().saturating_sub(self.limits.max);
        let excess = if shrinks { self.has() - target } else { over_max };
        // None below the least is taken even if it starts only.
        let excess = excess.min(self.serving.saturating_sub(self.limits.min)).min(most);
        let empty = excess.min(self.empty);
        let drained = self.drained.min(most - empty);
        ZoneChange { drain: excess - empty, lose: empty + drained, ..nothing }
    }
}

/// As even as bounds allow: each zone as many as a level, within its bounds.
fn targets(wanted: u64, zones: &[ZoneSize]) -> Vec<u32> {
    let at = |level: u32| {
        let each = zones.iter().map(move |z| level.min(z.limits.max).max(z.limits.min));
        each.collect::<Vec<u32>>()
    };
    let sum = |level: u32| at(level).iter().map(|n| u64::from(*n)).sum::<u64>();
    // The lowest level that is enough, if any is.
    let (mut low, mut high) = (0, WORKERS_MAX as u32);
    while low < high {
        let middle = low + (high - low) / 2;
        if sum(middle) >= wanted { high = middle } else { low = middle + 1 }
    }
    let mut targets = at(low);
    let mut over = sum(low).saturating_sub(wanted);
    // What the last step of the level was too much, of the last zones.
    for (target, zone) in targets.iter_mut().zip(zones).rev() {
        if over > 0 && *target == low && *target > zone.limits.min {
            *target -= 1;
            over -= 1;
        }
    }
    targets
}
