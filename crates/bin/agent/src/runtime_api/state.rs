//! Which request of the Runtime API is legal when. Pure: no clock, no I/O.
//!
//! ```text
//!            next            event            answer begins      answer ends
//!  Started ───────► Ready ──────────► Running ─────────► Sending ───────────► Sent
//!   │ │ │             ▲                  ▲                  │                  │
//!   │ │ └ init error  │                  └── broken off ────┘                  │
//!   │ │   InitError   └──────────────────────── next ──────────────────────────┘
//!   │ └ environment: asked for, and given, before the function's part of init
//!   └ restore next ─► Capturable ── restored ─► Restoring ── next ─► Ready
//!                                                   └ restore error: RestoreError
//! ```
//!
//! An event may come in any state but `Running` and `Sending`; it waits for
//! the next `next`. State names and refusals are those of AWS's own emulator.

/// The state of one runtime; `W` is whoever waits for an event, `E` the event.
#[derive(Debug)]
pub(crate) struct RuntimeState<W, E> {
    phase: Phase,
    waiter: Option<W>,
    queued: Option<E>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Started,
    InitError,
    Capturable,
    Restoring,
    RestoreError,
    Ready,
    Running { request_id: String },
    Sending { request_id: String },
    Sent,
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::InitError => "InitError",
            Self::Capturable => "RestoreReady",
            Self::Restoring => "Restoring",
            Self::RestoreError => "RestoreError",
            Self::Ready => "Ready",
            Self::Running { .. } => "Running",
            Self::Sending { .. } => "InvocationResponse",
            Self::Sent => "ResponseSent",
        }
    }
}

/// An event that has a request id.
pub(crate) trait HasRequestId {
    /// The id that the answer must name.
    fn request_id(&self) -> &str;
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not the time for it.
    WrongState {
        /// The state now.
        from: &'static str,
        /// The state it asked for.
        to: &'static str,
    },
    /// It names another request than the current one.
    InvalidRequestId,
}

/// What a `next` leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Polled<W, E> {
    /// What the runtime is through with, if it asks for its first event.
    pub(crate) ended: Option<Ended>,
    /// An event was there already.
    pub(crate) deliver: Option<(W, E)>,
    /// Who waited before; the newcomer takes its place, for the likeliest
    /// reason to ask twice is that the first connection broke.
    pub(crate) displaced: Option<W>,
}

/// What comes before a runtime's first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its initialisation.
    Init,
    /// Its hooks in a clone.
    Restore,
}

/// The worker sent an event while another one runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl<W, E: HasRequestId> RuntimeState<W, E> {
    /// Of a runtime that was just started.
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Started, waiter: None, queued: None }
    }

    /// The runtime asks for an event.
    pub(crate) fn next(&mut self, waiter: W) -> Result<Polled<W, E>, Refusal> {
        let ended = match self.phase {
            Phase::Started => Some(Ended::Init),
            Phase::Restoring => Some(Ended::Restore),
            Phase::Ready | Phase::Sent => None,
            _ => return Err(self.wrong("Ready")),
        };
        self.phase = Phase::Ready;
        let displaced = self.waiter.take();
        let deliver = match self.queued.take() {
            Some(event) => Some((waiter, self.run(event))),
            None => {
                self.waiter = Some(waiter);
                None
            }
        };
        Ok(Polled { ended, deliver, displaced })
    }

    /// The worker has an event. Returned with whoever waits for it; kept if
    /// nobody does.
    pub(crate) fn event(&mut self, event: E) -> Result<Option<(W, E)>, Busy> {
        if self.queued.is_some() || self.in_event() {
            return Err(Busy);
        }
        match self.waiter.take() {
            Some(waiter) => Ok(Some((waiter, self.run(event)))),
            None => {
                self.queued = Some(event);
                Ok(None)
            }
        }
    }

    /// The event's taker was gone: it waits for another.
    pub(crate) fn undelivered(&mut self, event: E) {
        self.phase = Phase::Ready;
        self.queued = Some(event);
    }

    /// The runtime begins to answer; until that ends nobody else may.
    pub(crate) fn begin_answer(&mut self, id: &str, to: &'static str) -> Result<(), Refusal> {
        match &self.phase {
            Phase::Running { request_id } if request_id == id => {
                self.phase = Phase::Sending { request_id: id.to_owned() };
                Ok(())
            }
            Phase::Running { .. } => Err(Refusal::InvalidRequestId),
            _ => Err(self.wrong(to)),
        }
    }

    /// The answer is whole.
    pub(crate) fn end_answer(&mut self) {
        self.phase = Phase::Sent;
    }

    /// The answer broke off; the runtime may try again.
    pub(crate) fn break_off_answer(&mut self) {
        if let Phase::Sending { request_id } = &mut self.phase {
            self.phase = Phase::Running { request_id: std::mem::take(request_id) };
        }
    }

    /// Whether the runtime has an event that it owes an answer to.
    pub(crate) fn in_event(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Sending { .. })
    }

    /// The runtime reports that it cannot initialise.
    pub(crate) fn init_error(&mut self) -> Result<(), Refusal> {
        if self.phase != Phase::Started {
            return Err(self.wrong("InitError"));
        }
        self.phase = Phase::InitError;
        Ok(())
    }

    /// The runtime may be captured, and wants to know when it is a clone.
    pub(crate) fn restore_next(&mut self) -> Result<(), Refusal> {
        if self.phase != Phase::Started {
            return Err(self.wrong("RestoreReady"));
        }
        self.phase = Phase::Capturable;
        Ok(())
    }

    /// The guest is a clone; whether its runtime has something to do about it.
    pub(crate) fn restored(&mut self) -> bool {
        let asked = self.phase == Phase::Capturable;
        if asked {
            self.phase = Phase::Restoring;
        }
        asked
    }

    /// The runtime reports that a hook of the function failed.
    pub(crate) fn restore_error(&mut self) -> Result<(), Refusal> {
        if self.phase != Phase::Restoring {
            return Err(self.wrong("RestoreError"));
        }
        self.phase = Phase::RestoreError;
        Ok(())
    }

    fn run(&mut self, event: E) -> E {
        self.phase = Phase::Running { request_id: event.request_id().to_owned() };
        event
    }

    fn wrong(&self, to: &'static str) -> Refusal {
        Refusal::WrongState { from: self.phase.name(), to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl HasRequestId for &'static str {
        fn request_id(&self) -> &str {
            self
        }
    }

    type State = RuntimeState<u8, &'static str>;

    fn ready() -> State {
        let mut state = State::new();
        assert_eq!(state.next(1).unwrap().ended, Some(Ended::Init));
        state
    }

    fn refused(from: &'static str, to: &'static str) -> Refusal {
        Refusal::WrongState { from, to }
    }

    #[test]
    fn one_round_after_another() {
        let mut state = ready();
        for waiter in 1..4 {
            assert_eq!(state.event("a").unwrap(), Some((waiter, "a")));
            state.begin_answer("a", "InvocationResponse").unwrap();
            state.end_answer();
            let polled = state.next(waiter + 1).unwrap();
            assert_eq!(polled, Polled { ended: None, deliver: None, displaced: None });
        }
    }

    #[test]
    fn an_event_waits_for_the_runtime() {
        let mut state = State::new();
        assert_eq!(state.event("a").unwrap(), None);
        assert_eq!(state.event("b"), Err(Busy));
        assert_eq!(state.next(7).unwrap().deliver, Some((7, "a")));
    }

    #[test]
    fn an_event_comes_back_when_its_taker_is_gone() {
        let mut state = ready();
        let (_, event) = state.event("a").unwrap().unwrap();
        state.undelivered(event);
        assert_eq!(state.next(2).unwrap().deliver, Some((2, "a")));
    }

    #[test]
    fn a_second_event_is_refused_while_one_runs() {
        let mut state = ready();
        state.event("a").unwrap();
        assert_eq!(state.event("b"), Err(Busy));
        state.begin_answer("a", "InvocationResponse").unwrap();
        assert_eq!(state.event("b"), Err(Busy));
    }

    #[test]
    fn the_newest_poll_wins() {
        let mut state = ready();
        assert_eq!(state.next(2).unwrap().displaced, Some(1));
        assert_eq!(state.event("a").unwrap(), Some((2, "a")));
    }

    #[test]
    fn only_the_current_request_is_answered_and_only_once() {
        let mut state = ready();
        let to = "InvocationResponse";
        assert_eq!(state.begin_answer("a", to), Err(refused("Ready", to)));
        state.event("a").unwrap();
        assert_eq!(state.begin_answer("b", to), Err(Refusal::InvalidRequestId));
        state.begin_answer("a", to).unwrap();
        assert_eq!(state.begin_answer("a", to), Err(refused("InvocationResponse", to)));
        state.end_answer();
        assert_eq!(state.begin_answer("a", to), Err(refused("ResponseSent", to)));
    }

    #[test]
    fn a_broken_answer_may_be_tried_again() {
        let mut state = ready();
        state.event("a").unwrap();
        state.begin_answer("a", "InvocationResponse").unwrap();
        state.break_off_answer();
        state.begin_answer("a", "InvocationErrorResponse").unwrap();
    }

    #[test]
    fn next_needs_the_answer_first() {
        let mut state = ready();
        state.event("a").unwrap();
        assert_eq!(state.next(2), Err(refused("Running", "Ready")));
    }

    #[test]
    fn init_errors_only_before_the_first_next() {
        assert_eq!(ready().init_error(), Err(refused("Ready", "InitError")));
        let mut state = State::new();
        state.init_error().unwrap();
        assert_eq!(state.init_error(), Err(refused("InitError", "InitError")));
        assert_eq!(state.next(1), Err(refused("InitError", "Ready")));
    }

    #[test]
    fn a_clone_goes_through_its_hooks_once() {
        let mut state = State::new();
        state.restore_next().unwrap();
        assert_eq!(state.next(1), Err(refused("RestoreReady", "Ready")));
        assert_eq!(state.restore_next(), Err(refused("RestoreReady", "RestoreReady")));
        assert_eq!(state.restore_error(), Err(refused("RestoreReady", "RestoreError")));
        assert!(state.restored());
        assert_eq!(state.next(1).unwrap().ended, Some(Ended::Restore));
        assert_eq!(state.next(2).unwrap().ended, None);
        assert_eq!(state.restore_error(), Err(refused("Ready", "RestoreError")));
    }

    #[test]
    fn a_failed_hook_is_final() {
        let mut state = State::new();
        state.restore_next().unwrap();
        assert!(state.restored());
        state.restore_error().unwrap();
        assert_eq!(state.next(1), Err(refused("RestoreError", "Ready")));
    }

    #[test]
    fn a_runtime_that_knows_nothing_of_clones_is_one_at_once() {
        let mut state = ready();
        assert!(!state.restored());
        assert_eq!(state.event("a").unwrap(), Some((1, "a")));
    }
}
