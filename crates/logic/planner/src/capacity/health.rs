//! Whether a worker is well, by what is seen of it.
//!
//! ```text
//!             a bad look            3 bad looks in a row, or silence
//!  healthy ──────────────► suspect ──────────────────────────────────► sick
//!     ▲                     │  ▲                                        │
//!     └── 3 good in a row ──┘  └────────── 12 good in a row ────────────┘
//! ```

use crate::placement::Standing;
use std::time::Duration;

/// A look is bad if no heartbeat came for so long: two that are lost are no reason.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(15);
/// Nothing is expected any more of a worker that was silent for so long. Its sandboxes
/// are taken for lost, so this is longer than any pause of a network should be.
pub const SICK_AFTER: Duration = Duration::from_secs(45);
/// Fewer failed creates since the last look than that say nothing: code may be damaged.
const FAILED_MIN: u32 = 3;
/// One sandbox may end by itself.
const LOST_MIN: u32 = 2;
/// Bad looks in a row that make a suspect sick.
const BAD_MAX: u32 = 3;
/// Good looks in a row after which a suspect is healthy again.
const GOOD_FOR_HEALTHY: u32 = 3;
/// And after which a sick one is tried again: longer, as what comes and goes is worse
/// than what is away.
const GOOD_FOR_SUSPECT: u32 = 12;

/// How well a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Well.
    #[default]
    Healthy,
    /// Something is wrong, perhaps for a moment.
    Suspect,
    /// Not to be used.
    Sick,
}

impl Health {
    /// What placement makes of it.
    pub fn standing(self) -> Standing {
        match self {
            Self::Healthy => Standing::Healthy,
            Self::Suspect => Standing::Suspect,
            Self::Sick => Standing::Sick,
        }
    }
}

/// What was seen of a worker since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// How old its last heartbeat is.
    pub heartbeat_age: Duration,
    /// Sandboxes that it created.
    pub creates_ok: u32,
    /// And those that it failed to, for no reason of the function's.
    pub creates_failed: u32,
    /// Sandboxes that ended without being told to.
    pub sandboxes_lost: u32,
}

impl Signs {
    fn bad(&self) -> bool {
        let failing = self.creates_failed >= FAILED_MIN && self.creates_failed > self.creates_ok;
        let losing = self.sandboxes_lost >= LOST_MIN && self.sandboxes_lost > self.creates_ok;
        self.heartbeat_age >= SUSPECT_AFTER || failing || losing
    }
}

/// What is remembered of a worker's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    health: Health,
    /// Looks in a row that were as bad or as good as the last.
    bad: u32,
    good: u32,
}

impl Record {
    /// How well it is.
    pub fn health(&self) -> Health {
        self.health
    }

    /// The record after one more look.
    #[must_use]
    pub fn look(self, signs: &Signs) -> Self {
        let (bad, good) = if signs.bad() {
            (self.bad.saturating_add(1), 0)
        } else {
            (0, self.good.saturating_add(1))
        };
        let health = match self.health {
            _ if signs.heartbeat_age >= SICK_AFTER => Health::Sick,
            Health::Healthy if bad > 0 => Health::Suspect,
            Health::Suspect if bad >= BAD_MAX => Health::Sick,
            Health::Suspect if good >= GOOD_FOR_HEALTHY => Health::Healthy,
            Health::Sick if good >= GOOD_FOR_SUSPECT => Health::Suspect,
            same => same,
        };
        // A step up has to be earned anew.
        let good = if health < self.health { 0 } else { good };
        Self { health, bad, good }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WELL: Signs = Signs {
        heartbeat_age: Duration::ZERO,
        creates_ok: 9,
        creates_failed: 1,
        sandboxes_lost: 0,
    };

    fn failing() -> Signs {
        Signs { creates_ok: 1, creates_failed: 3, ..WELL }
    }

    fn after(looks: &[Signs]) -> Health {
        looks.iter().fold(Record::default(), Record::look_of).health()
    }

    impl Record {
        fn look_of(self, signs: &Signs) -> Self {
            self.look(signs)
        }
    }

    #[test]
    fn one_bad_look_makes_a_suspect_and_three_good_ones_a_healthy_one() {
        let one = failing();
        assert_eq!(after(&[one]), Health::Suspect);
        assert_eq!(after(&[one, WELL, WELL]), Health::Suspect);
        assert_eq!(after(&[one, WELL, WELL, WELL]), Health::Healthy);
        assert_eq!(after(&[one, WELL, one, WELL, one]), Health::Suspect);
        assert_eq!(after(&[one, one, one]), Health::Sick);
    }

    #[test]
    fn a_sick_one_comes_back_by_way_of_suspicion() {
        let mut looks = vec![Signs { heartbeat_age: SICK_AFTER, ..WELL }];
        assert_eq!(after(&looks), Health::Sick);
        looks.extend([WELL; 11]);
        assert_eq!(after(&looks), Health::Sick);
        looks.push(WELL);
        assert_eq!(after(&looks), Health::Suspect);
        looks.extend([WELL; 2]);
        assert_eq!(after(&looks), Health::Suspect);
        looks.push(WELL);
        assert_eq!(after(&looks), Health::Healthy);
    }

    #[test]
    fn few_failures_and_a_lost_heartbeat_are_no_signs() {
        let few = Signs { creates_ok: 0, creates_failed: 2, sandboxes_lost: 1, ..WELL };
        let late = Signs { heartbeat_age: SUSPECT_AFTER - Duration::from_millis(1), ..WELL };
        assert_eq!(after(&[few, late, few]), Health::Healthy);
    }

    proptest! {
        /// Whatever is seen, health goes up by one step at a time and not within two
        /// looks, and down by one unless there is silence.
        #[test]
        fn health_changes_by_steps(
            looks in prop::collection::vec((0u64..60, 0u32..6, 0u32..6, 0u32..4), 1..80),
        ) {
            let mut record = Record::default();
            let mut since_change = 0;
            for (age, creates_ok, creates_failed, sandboxes_lost) in looks {
                let heartbeat_age = Duration::from_secs(age);
                let signs = Signs { heartbeat_age, creates_ok, creates_failed, sandboxes_lost };
                let before = record.health();
                record = record.look(&signs);
                since_change += 1;
                let silent = heartbeat_age >= SICK_AFTER;
                prop_assert!(!silent || record.health() == Health::Sick);
                if record.health() > before {
                    prop_assert!(silent || record.health() as u8 == before as u8 + 1);
                }
                if record.health() < before {
                    prop_assert_eq!(record.health() as u8 + 1, before as u8);
                    prop_assert!(since_change >= GOOD_FOR_HEALTHY);
                }
                if record.health() != before {
                    since_change = 0;
                }
            }
        }
    }
}
