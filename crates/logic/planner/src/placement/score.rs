//! How good a worker is for a sandbox, and the reasons.
//!
//! First by tier; within one by the sum of parts, each in thousandths, times its weight:
//!
//! | part | full if | weight |
//! |---|---|--:|
//! | zone | its zone is the emptiest | 52 |
//! | headroom | of the scarcest of memory, disk, processors and places all is left | 8 |
//! | cached | it has the first layer asked for | 2 |
//! | apart | neither it nor its zone has the function | 2 |
//! | expected | nothing more is expected there | 1 |
//!
//! Weights are by simulation (`hearth-sim`, steady, 600 workers): with 3 for what is cached
//! against 4 for headroom, the fullest workers were half a worker fuller than the emptiest,
//! for 10 ms of a start's 410; these make it two fifths, most of it new workers.

use super::choose::Request;
use super::fleet::{Entry, Fleet};
use super::member::Standing;
use super::spread::{Places, most_on_one_worker};
use std::fmt;

/// All of something.
const FULL: u64 = 1_000;

const ZONE_WEIGHT: u64 = 52;
const HEADROOM_WEIGHT: u64 = 8;
const CACHED_WEIGHT: u64 = 2;
const APART_WEIGHT: u64 = 2;
const EXPECTED_WEIGHT: u64 = 1;

/// How much fuller than the emptiest zone one may be and still be chosen, if a healthy
/// worker of the emptiest can take the sandbox: then nothing else outweighs it.
pub const ZONE_GAP_MAX_PER_MILLE: u64 =
    (HEADROOM_WEIGHT + CACHED_WEIGHT + APART_WEIGHT + EXPECTED_WEIGHT) * FULL / ZONE_WEIGHT;

/// What comes before all else; a greater one is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The request would rather have any other.
    Avoided,
    /// Suspect, and it has its share of the function's sandboxes.
    SuspectCrowded,
    /// Suspect.
    Suspect,
    /// It has its share of the function's sandboxes.
    Crowded,
    /// Nothing speaks against it.
    Good,
}

impl Tier {
    pub(crate) fn of(avoided: bool, healthy: bool, crowded: bool) -> Self {
        match (avoided, healthy, crowded) {
            (true, ..) => Self::Avoided,
            (_, true, false) => Self::Good,
            (_, true, true) => Self::Crowded,
            (_, false, false) => Self::Suspect,
            (_, false, true) => Self::SuspectCrowded,
        }
    }
}

/// Why a worker was chosen: the parts of its score, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasons {
    /// What comes first.
    pub tier: Tier,
    /// What is left of the scarcest, with the sandbox.
    pub headroom: u64,
    /// How much its zone is like the emptiest.
    pub zone: u64,
    /// How much of the function is elsewhere.
    pub apart: u64,
    /// How much is in its cache.
    pub cached: u64,
    /// How much is left with what is expected there.
    pub expected: u64,
    /// How many workers were compared.
    pub compared: u32,
}

impl Reasons {
    pub(crate) fn rank(&self) -> (Tier, u64) {
        let score = ZONE_WEIGHT * self.zone
            + HEADROOM_WEIGHT * self.headroom
            + CACHED_WEIGHT * self.cached
            + APART_WEIGHT * self.apart
            + EXPECTED_WEIGHT * self.expected;
        (self.tier, score)
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tier, headroom, zone, apart, cached, expected, compared } = self;
        let (_, score) = self.rank();
        write!(
            f,
            "{tier:?} score={score} zone={zone} headroom={headroom} cached={cached} \
             apart={apart} expected={expected} of={compared}"
        )
    }
}

/// What is the same for all workers that a request is held against.
pub(crate) struct Scale<'a> {
    request: &'a Request<'a>,
    places: Option<&'a Places>,
    total: u32,
    most: u32,
    least_fill: u64,
}

impl<'a> Scale<'a> {
    pub(crate) fn new(fleet: &'a Fleet, request: &'a Request<'a>) -> Self {
        let places = fleet.spread.of(request.function);
        let total = places.map_or(0, Places::total).saturating_add(1);
        let least_fill = fleet.zones.least_fill_per_mille();
        Self { request, places, total, most: most_on_one_worker(total), least_fill }
    }

    /// The slots that have their share of the function: few, as shares are large.
    pub(crate) fn crowded(&self) -> Vec<u32> {
        self.places.map(|places| places.on_at_least(self.most)).unwrap_or_default()
    }

    /// What a worker is worth that has room.
    pub(crate) fn reasons(&self, fleet: &Fleet, slot: u32, entry: &Entry) -> Reasons {
        let member = &entry.member;
        let here = self.places.map_or(0, |places| places.on(slot));
        let in_zone = self.places.map_or(0, |places| places.zone(member.zone));
        let taken = entry.taken.plus(self.request.room);
        let left = member.total.less(taken);
        let memory = part(left.memory_bytes, member.total.memory_bytes);
        let cpu = entry.cpu_milli_used.saturating_add(self.request.cpu_milli);
        let headroom = memory
            .min(part(left.disk_bytes, member.total.disk_bytes))
            .min(part(member.cpu_milli_total.saturating_sub(cpu), member.cpu_milli_total))
            .min(part(
                u64::from(member.sandboxes_max.saturating_sub(entry.sandboxes.saturating_add(1))),
                u64::from(member.sandboxes_max),
            ));
        let beyond = left.memory_bytes.saturating_sub(member.expected_bytes);
        let gap = fleet.zones.fill_per_mille(member.zone).saturating_sub(self.least_fill);
        let shared = (u64::from(here) + u64::from(in_zone)) * FULL / (2 * u64::from(self.total));
        Reasons {
            tier: Tier::of(
                self.request.avoid.contains(&member.worker),
                member.standing == Standing::Healthy,
                here >= self.most,
            ),
            headroom,
            zone: FULL.saturating_sub(gap),
            apart: FULL.saturating_sub(shared),
            cached: self.cached(entry),
            expected: part(beyond, member.total.memory_bytes),
            compared: 0,
        }
    }

    /// All for the first layer, half for the second, and so on.
    fn cached(&self, entry: &Entry) -> u64 {
        let has = |layer| entry.member.layers.binary_search(layer).is_ok();
        let first = self.request.layers.iter().take(super::choose::LAYERS_MAX).position(has);
        first.map_or(0, |at| FULL >> at)
    }
}

/// `of` in thousandths of `whole`; all of it if there is no such thing.
fn part(of: u64, whole: u64) -> u64 {
    if whole == 0 {
        return FULL;
    }
    match of.checked_mul(FULL) {
        Some(thousandfold) => thousandfold / whole,
        None => of / whole.div_ceil(FULL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_thousandths_however_large() {
        assert_eq!((part(1, 2), part(0, 9), part(9, 9), part(0, 0)), (500, 0, 1_000, 1_000));
        assert!((499..=500).contains(&part(u64::MAX / 2, u64::MAX)));
    }

    #[test]
    fn one_line_says_it_all() {
        let reasons = Reasons {
            tier: Tier::Good,
            headroom: 700,
            zone: 1_000,
            apart: 900,
            cached: 0,
            expected: 500,
            compared: 24,
        };
        assert_eq!(
            reasons.to_string(),
            "Good score=59900 zone=1000 headroom=700 cached=0 apart=900 expected=500 of=24"
        );
    }
}
