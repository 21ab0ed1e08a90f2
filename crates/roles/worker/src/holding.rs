//! In whose name a sandbox runs an event: one at a time, and none for whom it was given
//! away since.

use hearth_types::Hold;
use parking_lot::Mutex;

/// The holds of one sandbox.
#[derive(Default)]
pub(crate) struct Holding(Mutex<State>);

#[derive(Clone, Copy, Default)]
struct State {
    last: Option<Hold>,
    is_running: bool,
    /// Its last event broke it: it runs no other.
    is_spent: bool,
}

/// An event runs until this is dropped.
pub(crate) struct Running<'a>(&'a Holding);

impl Holding {
    /// Begins an event, unless one runs or the sandbox was given to another after `hold`.
    pub(crate) fn begin(&self, hold: Hold) -> Option<Running<'_>> {
        let mut state = self.0.lock();
        if state.is_spent
            || state.is_running
            || state.last.is_some_and(|last| !hold.is_after(&last))
        {
            return None;
        }
        *state = State { last: Some(hold), is_running: true, is_spent: false };
        Some(Running(self))
    }

    /// It runs no event any more.
    pub(crate) fn spend(&self) {
        self.0.lock().is_spent = true;
    }

    /// In whose name it ran last, and whether it runs still.
    pub(crate) fn now(&self) -> (Option<Hold>, bool) {
        let state = self.0.lock();
        (state.last, state.is_running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.0.lock().is_running = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_types::Reign;

    #[test]
    fn one_event_at_a_time_and_none_that_is_late() {
        let hold = |epoch, serial| Hold { reign: Reign { epoch, ..Reign::ALONE }, serial };
        let holding = Holding::default();
        let running = holding.begin(hold(1, 7)).unwrap();
        assert!(holding.begin(hold(1, 8)).is_none(), "one runs");
        assert_eq!(holding.now(), (Some(hold(1, 7)), true));
        drop(running);
        assert!(holding.begin(hold(1, 7)).is_none(), "it has run");
        assert!(holding.begin(hold(1, 6)).is_none());
        assert_eq!(holding.now(), (Some(hold(1, 7)), false));
        assert!(holding.begin(hold(2, 1)).is_some());
        holding.spend();
        assert!(holding.begin(hold(2, 2)).is_none(), "it broke");
    }
}
