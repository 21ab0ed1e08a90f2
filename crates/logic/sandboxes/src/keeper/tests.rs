use super::known::SANDBOXES_MAX;
use super::*;
use crate::notes::NOTES_MAX;
use crate::testing::{moment, version_of};
use crate::{Begin, Running};
use hearth_services::assignment::Disposition;
use hearth_types::{FunctionVersion, Hold, Reign, RevisionId, StartKind};

const KEEP_ALIVE: u64 = 600;
const DAY: u64 = 24 * 3600;

/// A leader that looks once a second.
struct Fixture {
    table: Table,
    keeper: Keeper,
    version: FunctionVersion,
    now: u64,
    worker: WorkerId,
}

impl Fixture {
    fn new() -> Self {
        Self {
            table: Table::new(Reign::ALONE, Running::new(1_000_000)),
            keeper: Keeper::new(Duration::from_secs(KEEP_ALIVE)),
            version: version_of("111111111111", RevisionId::new()),
            now: 0,
            worker: WorkerId::new(),
        }
    }

    /// Begins an event, and says whether a sandbox was idle.
    fn begin(&mut self) -> (SandboxId, Hold, bool) {
        let now = moment(self.now);
        let wanted = (&self.version).into();
        match self.table.begin(&wanted, StartKind::Warm, now, SandboxId::new) {
            Begin::Warm(id, _, hold) => (id, hold, true),
            Begin::Start(id, hold) => {
                self.table.started(id, self.worker, now);
                (id, hold, false)
            }
            Begin::OverConcurrency => panic!("a million may run"),
        }
    }

    fn end(&mut self, id: SandboxId, hold: Hold) {
        self.table.release(id, hold, Disposition::Reusable, moment(self.now));
    }

    /// An event that takes no time.
    fn call(&mut self) -> bool {
        let (id, hold, warm) = self.begin();
        self.end(id, hold);
        warm
    }

    fn look(&mut self) {
        self.keeper.learn(&self.table.news());
        while self.keeper.look(&mut self.table, moment(self.now)).1 {}
    }

    /// As the reaper does; a sandbox that is to be made ahead is there at once. Returns how
    /// many that were.
    fn wait(&mut self, seconds: u64) -> usize {
        let mut made = 0;
        for now in self.now + 1..=self.now + seconds {
            self.now = now;
            self.look();
            self.table.expire(moment(now).at, Duration::from_secs(KEEP_ALIVE));
            while let Some(key) = self.keeper.next_ahead(&self.table, moment(now).at) {
                let id = SandboxId::new();
                self.table.begin_ahead(&(&self.version).into(), moment(now), id);
                self.table.made_ahead(id, self.worker, moment(now));
                self.keeper.made(&key);
                made += 1;
            }
        }
        made
    }

    fn idle(&self) -> usize {
        self.table.count_idle(&self.version.key)
    }
}

#[test]
fn a_new_version_is_kept_for_the_operators_time() {
    let mut f = Fixture::new();
    f.call();
    f.wait(KEEP_ALIVE - 1);
    assert_eq!(f.idle(), 1);
    f.wait(1);
    assert_eq!(f.idle(), 0);
}

#[test]
fn one_that_is_called_every_half_minute_is_always_there() {
    let mut f = Fixture::new();
    f.call();
    for _ in 0..500 {
        f.wait(30);
        assert!(f.call(), "at {} s", f.now);
    }
}

#[test]
fn one_that_is_called_once_a_day_at_any_time_does_not_idle_for_long() {
    let mut f = Fixture::new();
    for gap in [DAY, DAY / 2, 2 * DAY, DAY / 3, DAY, 5 * DAY / 2, DAY / 4, DAY / 5] {
        f.call();
        f.wait(gap);
    }
    f.call();
    f.wait(2);
    assert_eq!(f.idle(), 0, "ten minutes met no event of nine");
}

#[test]
fn one_that_is_called_every_eight_hours_is_there_then_and_at_no_other_time() {
    let mut f = Fixture::new();
    for _ in 0..8 {
        f.call();
        f.wait(DAY / 3);
    }
    for _ in 0..3 {
        assert!(f.call(), "it was made ahead");
        f.wait(2);
        assert_eq!(f.idle(), 0);
        assert_eq!(f.wait(DAY / 3 - 2), 1);
    }
}

#[test]
fn one_that_is_called_every_half_hour_is_made_ahead_and_not_kept_between() {
    let mut f = Fixture::new();
    for _ in 0..8 {
        f.call();
        f.wait(1_800);
    }
    f.call();
    let (kept, mut made) = (f.wait(60), 0);
    assert_eq!((kept, f.idle()), (0, 0));
    for _ in 0..5 {
        made += f.wait(1_740);
        assert!(f.call(), "it was made ahead");
        made += f.wait(60);
    }
    assert_eq!(made, 5);
    // Nobody calls any more: each was made for nothing once at most, and goes.
    assert!(f.wait(DAY) <= 2);
    assert_eq!(f.idle(), 0);
}

#[test]
fn an_update_forgets_nothing() {
    let mut f = Fixture::new();
    for _ in 0..8 {
        f.call();
        f.wait(1_800);
    }
    f.version = version_of("111111111111", RevisionId::new());
    f.call();
    assert_eq!(f.wait(1_800), 1);
    assert!(f.call(), "one of the new revision was made ahead");
}

#[test]
fn sandboxes_that_never_ran_at_once_have_the_operators_time() {
    let mut f = Fixture::new();
    for _ in 0..3 {
        let id = SandboxId::new();
        f.table.begin_ahead(&(&f.version).into(), moment(0), id);
        f.table.made_ahead(id, f.worker, moment(0));
    }
    for _ in 0..20 {
        f.call();
        f.wait(20);
    }
    assert_eq!(f.idle(), 3, "only one is known to be used, and it is");
    f.wait(KEEP_ALIVE);
    assert_eq!(f.idle(), 0);
}

#[test]
fn no_more_are_made_ahead_at_once_than_may_be() {
    let mut f = Fixture::new();
    let versions: Vec<FunctionVersion> = (0..3 * AHEAD_MAX)
        .map(|n| {
            let mut version = version_of("111111111111", RevisionId::new());
            version.key.function = format!("f{n}").parse().unwrap();
            version
        })
        .collect();
    let call_all = |f: &mut Fixture| {
        for version in &versions {
            f.version = version.clone();
            f.call();
        }
    };
    for _ in 0..8 {
        call_all(&mut f);
        // What is made for one of them is not theirs: none is there.
        for _ in 0..30 {
            f.now += 60;
            f.look();
            f.table.expire(moment(f.now).at, Duration::from_secs(60));
        }
    }
    let at = moment(f.now).at;
    let begun: Vec<_> = std::iter::from_fn(|| f.keeper.next_ahead(&f.table, at)).collect();
    assert_eq!(begun.len(), AHEAD_MAX);
    f.keeper.made(&begun[0]);
    assert!(f.keeper.next_ahead(&f.table, at).is_some());
    assert!(f.keeper.next_ahead(&f.table, at).is_none());
}

#[test]
fn what_is_remembered_is_bounded_and_the_least_recently_used_goes_first() {
    let mut f = Fixture::new();
    let first = f.version.clone();
    for n in 0..SANDBOXES_MAX + 100 {
        if n % 1_000 == 0 {
            f.version = first.clone();
            f.call();
        }
        f.version.key.function = format!("f{n}").parse().unwrap();
        f.call();
        if n % 1_000 == 999 {
            f.look();
        }
    }
    f.look();
    assert_eq!(f.keeper.versions(), SANDBOXES_MAX);
    let known = |version: &FunctionVersion| {
        f.keeper.known.get(&Name(Arc::new(version.key.clone()))).is_some()
    };
    assert!(known(&first) && known(&f.version));
    f.version.key.function = "f0".parse().unwrap();
    assert!(!known(&f.version));
}

#[test]
fn events_beyond_what_is_noted_are_counted_again() {
    let mut f = Fixture::new();
    let (id, hold, _) = f.begin();
    f.wait(1);
    f.end(id, hold);
    for _ in 0..NOTES_MAX {
        f.call();
    }
    let (id, hold, _) = f.begin();
    f.wait(1);
    let busy = |f: &Fixture| {
        f.keeper.known.get(&Name(Arc::new(f.version.key.clone()))).unwrap().demand.busy()
    };
    assert_eq!(busy(&f), 1);
    f.end(id, hold);
    f.wait(1);
    assert_eq!(busy(&f), 0);
}
