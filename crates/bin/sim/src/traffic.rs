//! The calls of all functions, a few minutes at a time: what is in memory is a number
//! for each function, and the calls of one window.
//!
//! A function's trace is made anew for each window in which it is called. That is cheap
//! for the many that are called rarely, and needs no state.

use crate::random::mixed;
use crate::scenario::{Kind, Scenario};
use hearth_forecast::traces::{Kind as Trace, calls};
use std::time::Duration;

/// What is made at once.
pub(crate) const WINDOW_MS: u64 = 5 * 60_000;
/// Functions in a flash crowd.
pub(crate) const CROWD_FUNCTIONS: u64 = 50;
/// How long it lasts.
const CROWD_MS: u64 = 2 * 60_000;

/// One call of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) at_ms: u64,
    pub(crate) function: u32,
    pub(crate) runs_ms: u64,
}

/// Where the calls come from.
pub(crate) struct Traffic {
    scenario: Scenario,
    seed: u64,
    /// Functions by the window of their next call.
    next: Vec<Vec<u32>>,
}

impl Traffic {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Self {
        let windows = scenario.end_ms().div_ceil(WINDOW_MS) as usize;
        let mut traffic = Self { scenario, seed, next: vec![Vec::new(); windows] };
        for function in 0..scenario.functions {
            let first = traffic.calls_of(function).first().map(|call| call.at_ms);
            traffic.file(function, first);
        }
        traffic
    }

    /// The calls of one window, sorted by time.
    pub(crate) fn window(&mut self, window: usize) -> Vec<Call> {
        let functions = self.next.get_mut(window).map(std::mem::take).unwrap_or_default();
        let begin = window as u64 * WINDOW_MS;
        let mut all = Vec::new();
        for function in functions {
            let calls = self.calls_of(function);
            let until = begin + WINDOW_MS;
            all.extend(calls.iter().filter(|c| (begin..until).contains(&c.at_ms)));
            let next = calls.iter().find(|c| c.at_ms >= until).map(|c| c.at_ms);
            self.file(function, next);
        }
        self.crowd(begin, &mut all);
        all.sort_unstable();
        all
    }

    fn file(&mut self, function: u32, next_ms: Option<u64>) {
        let window = next_ms.map(|at| (at / WINDOW_MS) as usize);
        if let Some(of_window) = window.and_then(|window| self.next.get_mut(window)) {
            of_window.push(function);
        }
    }

    fn calls_of(&self, function: u32) -> Vec<Call> {
        let end = Duration::from_millis(self.scenario.end_ms());
        let trace = trace_of(self.seed, function);
        let ms = |time: Duration| time.as_millis() as u64;
        let call = |call: hearth_forecast::replay::Call| Call {
            at_ms: ms(call.at),
            function,
            runs_ms: ms(call.runs),
        };
        calls(trace, self.seed, function.into(), end).into_iter().map(call).collect()
    }

    /// One call a second for each worker, at even times, of the first functions.
    fn crowd(&self, begin: u64, calls: &mut Vec<Call>) {
        if self.scenario.kind != Kind::FlashCrowd {
            return;
        }
        let from = self.scenario.happens_ms();
        let most = u64::from(self.scenario.workers) * CROWD_MS / 1_000;
        let crowd = (0..most).map(|n| {
            let chance = mixed(self.seed ^ mixed(n));
            Call {
                at_ms: from + n * CROWD_MS / most,
                function: (chance % CROWD_FUNCTIONS.min(self.scenario.functions.into())) as u32,
                runs_ms: 500 + (chance >> 32) % 1_000,
            }
        });
        calls.extend(crowd.filter(|call| (begin..begin + WINDOW_MS).contains(&call.at_ms)));
    }
}

/// In what way a function is called: three quarters of all hardly ever, as in the traces
/// of Shahrad et al. (USENIX ATC 2020), where four fifths are called less than once a
/// minute on average and half less than once an hour.
fn trace_of(seed: u64, function: u32) -> Trace {
    match mixed(seed ^ mixed(u64::from(function) + 1)) % 100 {
        0..45 => Trace::RareRandom,
        45..75 => Trace::RareScheduled,
        75..87 => Trace::Periodic,
        87..95 => Trace::Bursty,
        _ => Trace::Diurnal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_together_are_the_whole_traces() {
        let scenario = Scenario::new(Kind::Steady, 10, 300, 47);
        let mut traffic = Traffic::new(scenario, 3);
        let windows = (0..10).flat_map(|n| traffic.window(n)).collect::<Vec<_>>();
        let whole = Traffic::new(scenario, 3);
        let mut all: Vec<Call> = (0..300).flat_map(|f| whole.calls_of(f)).collect();
        all.sort_unstable();
        assert!(all.len() > 300);
        assert_eq!(windows, all);
    }
}
