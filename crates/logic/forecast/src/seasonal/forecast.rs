//! The model, one step at a time.

use super::errors::Errors;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One step of time: capacity cannot follow anything faster.
pub const STEP: Duration = Duration::from_secs(300);
/// Demand beyond is taken for this: more sandboxes, or MiB, than any fleet has, and far
/// from where numbers end.
pub const DEMAND_MAX: u64 = 1 << 40;
/// Forecasts further ahead are those of a day.
pub const HORIZON_MAX: Duration = Duration::from_secs(24 * 3600);

const STEPS_OF_DAY: u64 = 24 * 12;
const STEPS_OF_WEEK: u64 = 7 * STEPS_OF_DAY;
/// Numbers of the model are in so many parts of one, as steps change them by little.
const SCALE: i64 = 1 << 16;
/// A season is a share of the level, in so many parts of it,
const ONE: i64 = 1 << 16;
/// and at most so many times the level: its square is less than the steps in which the
/// level follows, so that no error grows by what corrects it.
const SEASON_MAX: i64 = 8 * ONE;
/// However little a time of day has, so much of what is off there is off of the level: one
/// that fell to nothing could never rise.
const LEVEL_WEIGHT_MIN: i64 = ONE / 4;
/// A share learns from no more than this at once. What is off by more is off of the level,
/// and shares that took it for theirs would be too high once the level is right.
const LEFT_MAX: i64 = ONE;
/// And the trend, which changes by less, in so many parts of these.
const TREND_SCALE: i64 = 1 << 8;

/// The level follows in six hours at the usual times of a day, faster at busy ones.
const LEVEL_STEPS: i64 = 72;
/// The trend follows in about a week.
const TREND_STEPS: i64 = STEPS_OF_WEEK as i64;
/// A time of day changes by a quarter of what was different; in the first days, to the
/// mean of them.
const DAY_SHARE: i64 = 4;
/// From the second week on, when the days are known, what a time of the week differs from
/// its time of day by changes by a third of what was different.
const WEEK_SHARE: i64 = 3;
/// The latest deviation is half that of this step, half of those before.
const DEVIATION_SHARE: i64 = 2;
/// What is left of a deviation after a step, in 256ths: half of it after an hour.
const DEVIATION_LEFT: i64 = 242;

/// For which horizons errors are known, in steps: 5 minutes, 15, an hour and four. Others
/// take the next longer one's, or the longest's.
const HORIZONS: [u64; 4] = [1, 3, 12, 48];
/// Of steps, so many percent shall have no more demand than the upper bound.
const UPPER_PERCENT: usize = 95;
/// Headroom while no errors are known: a quarter.
const UNKNOWN_SHARE: u64 = 4;

/// What may be in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Most likely.
    pub expected: u64,
    /// Rarely more.
    pub upper: u64,
}

/// The fleet's demand so far, as far as it says something about what comes.
///
/// Times are since any epoch that outlives the process. A step that nothing is noted of
/// changes nothing; a clock that jumps back adds to the step before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seasonal {
    /// The step that is under way, and the most demand in it.
    now: Option<(u64, u64)>,
    /// Steps that are over.
    steps: u64,
    level: i64,
    trend: i64,
    of_day: Vec<i64>,
    of_week: Vec<i64>,
    deviation: i64,
    errors: Vec<Errors>,
}

impl Default for Seasonal {
    fn default() -> Self {
        Self {
            now: None,
            steps: 0,
            level: 0,
            trend: 0,
            of_day: vec![0; STEPS_OF_DAY as usize],
            of_week: vec![0; STEPS_OF_WEEK as usize],
            deviation: 0,
            errors: HORIZONS.map(Errors::new).into(),
        }
    }
}

impl Seasonal {
    /// The most memory that this takes.
    pub const BYTES_MAX: usize = size_of::<Self>()
        + (STEPS_OF_DAY + STEPS_OF_WEEK) as usize * size_of::<i64>()
        + Errors::bytes_max(HORIZONS[0])
        + Errors::bytes_max(HORIZONS[1])
        + Errors::bytes_max(HORIZONS[2])
        + Errors::bytes_max(HORIZONS[3]);

    /// So much is in use. Of a step, the most counts.
    pub fn note(&mut self, now: Duration, demand: u64) {
        let step = now.as_secs() / STEP.as_secs();
        let demand = demand.min(DEMAND_MAX);
        self.now = match self.now {
            Some((current, most)) if step <= current => Some((current, most.max(demand))),
            Some((over, most)) => {
                self.learn(over, most);
                Some((step, demand))
            }
            None => Some((step, demand)),
        };
    }

    /// What will be in use so long after the last note.
    pub fn demand_in(&self, horizon: Duration) -> Forecast {
        let Some((step, most)) = self.now else { return Forecast::default() };
        let ahead = horizon.min(HORIZON_MAX).as_secs().div_ceil(STEP.as_secs());
        if self.steps == 0 {
            return Forecast { expected: most, upper: most.saturating_add(most / UNKNOWN_SHARE) };
        }
        // The step under way is not over, but what it had so far is known.
        let so_far = scaled(most).saturating_sub(self.model(step, 1));
        let deviation = mix(self.deviation, so_far, DEVIATION_SHARE);
        let expected = self.expected(step, ahead, deviation);
        let errors = self.errors.iter().find(|e| e.horizon() >= ahead).or(self.errors.last());
        let more = match errors.and_then(|errors| errors.percentile(UPPER_PERCENT)) {
            Some(error) => unscaled(error),
            None => unscaled(expected) / UNKNOWN_SHARE,
        };
        let expected = unscaled(expected);
        Forecast { expected, upper: expected.saturating_add(more) }
    }

    /// A step is over.
    fn learn(&mut self, step: u64, demand: u64) {
        let demand = scaled(demand);
        if self.steps == 0 {
            self.level = demand;
        }
        let off = demand.saturating_sub(self.model(step, 1));
        self.deviation = mix(self.deviation, off, DEVIATION_SHARE);
        self.steps = self.steps.saturating_add(1);

        // The mean of all steps, as long as there are few. What is off at a quiet time
        // says less of the level.
        let season = self.season(step);
        let before = self.level;
        let steps_before = i64::try_from(self.steps).unwrap_or(i64::MAX).saturating_sub(1);
        let steps = steps_before.saturating_add(1).min(LEVEL_STEPS);
        let grown = before.saturating_add(self.trend / TREND_SCALE);
        let off = demand.saturating_sub(part(grown, season, ONE));
        self.level =
            grown.saturating_add(part(off, season.max(LEVEL_WEIGHT_MIN), ONE) / steps).max(0);
        if self.steps > STEPS_OF_WEEK {
            let grown = self.level.saturating_sub(before).saturating_mul(TREND_SCALE);
            self.trend = mix(self.trend, grown, TREND_STEPS);
        }
        let off = demand.saturating_sub(part(self.level, season, ONE));
        let left = part(off, ONE, self.level).clamp(-LEFT_MAX, LEFT_MAX);
        let days = (1 + steps_before / STEPS_OF_DAY as i64).min(DAY_SHARE);
        add(&mut self.of_day, step % STEPS_OF_DAY, left / days);
        if self.steps > STEPS_OF_WEEK {
            add(&mut self.of_week, step % STEPS_OF_WEEK, left / WEEK_SHARE);
        }

        if step.is_multiple_of(STEPS_OF_DAY) {
            self.normalise();
        }

        let deviation = self.deviation;
        let expected = HORIZONS.map(|ahead| self.expected(step, ahead, deviation));
        for (errors, expected) in self.errors.iter_mut().zip(expected) {
            errors.came(step, demand);
            errors.expect(step, expected);
        }
    }

    /// Has the level be the mean of a day again. Half the level and twice the shares mean
    /// the same, but would not stay within bounds.
    fn normalise(&mut self) {
        let days = i64::try_from(self.of_day.len()).unwrap_or(i64::MAX);
        let sum = self.of_day.iter().fold(0i64, |sum, day| sum.saturating_add(*day));
        let mean = ONE.saturating_add(sum / days.max(1));
        if mean <= 0 {
            return;
        }
        self.level = part(self.level, mean, ONE);
        self.trend = part(self.trend, mean, ONE);
        self.of_day
            .iter_mut()
            .for_each(|day| *day = part(ONE.saturating_add(*day), ONE, mean).saturating_sub(ONE));
        self.of_week.iter_mut().for_each(|week| *week = part(*week, ONE, mean));
    }

    fn expected(&self, step: u64, ahead: u64, deviation: i64) -> i64 {
        let left = (0..ahead).fold(deviation, |left, _| part(left, DEVIATION_LEFT, 256));
        let model = self.model(step.saturating_add(ahead), ahead);
        model.saturating_add(left).clamp(0, scaled(DEMAND_MAX))
    }

    /// Level, trend and seasons of a step so far ahead.
    fn model(&self, step: u64, ahead: u64) -> i64 {
        let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        let trend = self.trend.saturating_mul(ahead) / TREND_SCALE;
        part(self.level.saturating_add(trend), self.season(step), ONE)
    }

    fn season(&self, step: u64) -> i64 {
        let at = |of: &[i64], slot: u64| of.get(slot as usize).copied().unwrap_or_default();
        let day = at(&self.of_day, step % STEPS_OF_DAY);
        let season =
            ONE.saturating_add(day).saturating_add(at(&self.of_week, step % STEPS_OF_WEEK));
        season.clamp(0, SEASON_MAX)
    }
}

fn scaled(demand: u64) -> i64 {
    i64::try_from(demand.min(DEMAND_MAX)).unwrap_or(i64::MAX).saturating_mul(SCALE)
}

fn unscaled(number: i64) -> u64 {
    u64::try_from(number / SCALE).unwrap_or_default()
}

/// `of` × `share` / `whole`.
fn part(of: i64, share: i64, whole: i64) -> i64 {
    let part = i128::from(of) * i128::from(share) / i128::from(whole.max(1));
    part.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// A number, a bit nearer to another: by one in so many.
fn mix(number: i64, to: i64, one_in: i64) -> i64 {
    number.saturating_add(to.saturating_sub(number) / one_in.max(1))
}

fn add(to: &mut [i64], slot: u64, amount: i64) {
    if let Some(number) = to.get_mut(slot as usize) {
        *number = number.saturating_add(amount).clamp(-SEASON_MAX, SEASON_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(step: u64) -> Duration {
        Duration::from_secs(step * 300)
    }

    fn after(demand: impl IntoIterator<Item = u64>) -> Seasonal {
        let mut seasonal = Seasonal::default();
        (0..).zip(demand).for_each(|(step, demand)| seasonal.note(at(step), demand));
        seasonal
    }

    #[test]
    fn nothing_is_expected_of_nothing() {
        assert_eq!(Seasonal::default().demand_in(STEP), Forecast::default());
    }

    #[test]
    fn what_never_changes_is_expected_to_stay() {
        let forecast = after([500; 600]).demand_in(HORIZON_MAX);
        assert_eq!(forecast, Forecast { expected: 500, upper: 500 });
    }

    #[test]
    fn the_first_note_is_all_there_is_with_headroom() {
        assert_eq!(after([400]).demand_in(STEP), Forecast { expected: 400, upper: 500 });
    }

    #[test]
    fn a_daily_rise_is_foreseen_before_it_begins() {
        // From 8 to 18 hours 1000, else 100; now it is five to eight, after two weeks.
        let demand = |step: u64| if (96..216).contains(&(step % 288)) { 1000 } else { 100 };
        let seasonal = after((0..14 * 288 + 96).map(demand));
        let forecast = seasonal.demand_in(at(6));
        assert!((850..=1150).contains(&forecast.expected), "{forecast:?}");
    }

    #[test]
    fn a_weekend_is_foreseen() {
        let demand = |step: u64| if step / 288 % 7 >= 5 { 200 } else { 1000 };
        // The end of the Friday of the ninth week.
        let seasonal = after((0..(8 * 7 + 5) * 288).map(demand));
        let forecast = seasonal.demand_in(at(12));
        assert!(forecast.expected < 500, "{forecast:?}");
    }

    #[test]
    fn a_fleet_that_was_empty_for_a_week_is_foreseen_again() {
        let demand = |step: u64| if (2016..4032).contains(&step) { 0 } else { 700 };
        let seasonal = after((0..3 * 2016).map(demand));
        let forecast = seasonal.demand_in(at(12));
        assert!(forecast.expected.abs_diff(700) < 70, "{forecast:?}");
    }

    #[test]
    fn growth_goes_on() {
        let seasonal = after((0..6 * 2016).map(|step| 1_000 + step / 10));
        let forecast = seasonal.demand_in(HORIZON_MAX);
        assert!(forecast.expected.abs_diff(2_209 + 29) < 25, "{forecast:?}");
    }

    #[test]
    fn of_a_step_the_most_counts_and_clocks_may_jump() {
        let mut one = after([100; 50]);
        let mut other = one.clone();
        one.note(at(50), 900);
        for demand in [300, 900, 20] {
            other.note(at(50), demand);
        }
        assert_eq!(one, other);
        other.note(at(3), 950);
        one.note(at(50), 950);
        assert_eq!(one, other);
    }

    proptest! {
        #[test]
        fn any_notes_give_a_forecast_in_bounded_memory(
            notes in prop::collection::vec((any::<u64>(), any::<u64>()), 0..200),
            steps in prop::collection::vec(0u64..5_000, 0..900),
            horizon in any::<u64>(),
        ) {
            let mut seasonal = Seasonal::default();
            let mut step = 0;
            for demand in steps {
                step += 1 + demand % 3 / 2;
                seasonal.note(at(step), demand);
            }
            for (now, demand) in notes {
                seasonal.note(Duration::from_secs(now), demand);
                let forecast = seasonal.demand_in(Duration::from_secs(horizon));
                prop_assert!(forecast.expected <= forecast.upper);
                prop_assert!(forecast.upper <= 2 * DEMAND_MAX + 1);
            }
            let stored = postcard::to_stdvec(&seasonal).unwrap();
            prop_assert!(stored.len() <= Seasonal::BYTES_MAX, "{}", stored.len());
            prop_assert_eq!(postcard::from_bytes::<Seasonal>(&stored).unwrap(), seasonal);
        }
    }
}
