use super::*;
use crate::testing::{moment, version_of};
use crate::{Begin, Running};
use hearth_services::assignment::Disposition;
use hearth_types::{FunctionVersion, Hold, Reign, RevisionId, StartKind};

struct Fixture {
    table: Table,
    version: FunctionVersion,
    worker: WorkerId,
}

fn begin(table: &mut Table, version: &FunctionVersion, at: u64) -> Begin {
    table.begin(&version.into(), StartKind::Warm, moment(at), SandboxId::new)
}

impl Fixture {
    fn new() -> Self {
        let version = version_of("111111111111", RevisionId::new());
        let table = Table::new(Reign { epoch: 2, ..Reign::ALONE }, Running::new(10));
        Self { table, version, worker: WorkerId::new() }
    }

    /// One that the leader before began.
    fn inherit(&mut self) -> SandboxId {
        let Begin::Start(id, _) = self.begin(0) else { panic!("one is idle") };
        let owned = self.table.owned_of(id).unwrap();
        self.table.forget(id);
        self.table.inherit(id, owned, moment(0));
        id
    }

    fn says(&self, id: SandboxId, busy: bool) -> HeldSandbox {
        let hold = Some(Hold { reign: Reign::ALONE, serial: 9 });
        let doing = if busy { Doing::Busy } else { Doing::Idle };
        HeldSandbox { id, key: self.version.key.clone(), hold, doing }
    }

    /// It ran the event of this hold, or runs it.
    fn says_of(&self, id: SandboxId, busy: bool, hold: Hold) -> HeldSandbox {
        HeldSandbox { hold: Some(hold), ..self.says(id, busy) }
    }

    fn compare(&mut self, held: &[HeldSandbox], at: u64) -> Found {
        self.table.compare(self.worker, held, moment(at))
    }

    fn begin(&mut self, at: u64) -> Begin {
        begin(&mut self.table, &self.version, at)
    }
}

#[test]
fn an_idle_sandbox_of_an_earlier_leader_serves_again() {
    let mut f = Fixture::new();
    let id = f.inherit();
    assert!(matches!(f.begin(0), Begin::Start(..)), "nobody knows yet what it does");
    assert_eq!(f.compare(&[f.says(id, false)], 1), Found::default());
    let Begin::Warm(found, worker, hold) = f.begin(2) else { panic!("it is not idle") };
    assert_eq!((found, worker, hold.reign.epoch), (id, f.worker, 2));
}

#[test]
fn a_running_event_goes_on_and_its_end_is_taken_from_whoever_began_it() {
    let mut f = Fixture::new();
    let id = f.inherit();
    let said = f.says(id, true);
    f.compare(std::slice::from_ref(&said), 1);
    assert!(matches!(f.begin(1), Begin::Start(..)), "it runs an event");
    f.table.release(id, said.hold.unwrap(), Disposition::Reusable, moment(2));
    assert!(matches!(f.begin(3), Begin::Warm(found, ..) if found == id));
}

#[test]
fn an_invocation_whose_end_was_lost_ends_when_its_worker_says_so_twice() {
    let mut f = Fixture::new();
    let id = f.inherit();
    f.compare(&[f.says(id, false)], 1);
    let Begin::Warm(_, _, hold) = f.begin(2) else { panic!("it is not idle") };
    f.compare(&[f.says_of(id, false, hold)], 3);
    assert!(matches!(f.begin(3), Begin::Start(..)), "its end may just be on its way");
    f.compare(&[f.says_of(id, true, hold)], 4);
    f.compare(&[f.says_of(id, false, hold)], 5);
    assert!(matches!(f.begin(5), Begin::Start(..)), "it ran in between");
    f.compare(&[f.says_of(id, false, hold)], 6);
    assert!(matches!(f.begin(7), Begin::Warm(found, ..) if found == id));
    let late = f.table.release(id, hold, Disposition::Discard, moment(8));
    assert!(late.is_none(), "not its own any more");
}

#[test]
fn an_event_that_the_worker_has_not_heard_of_may_take_its_time_but_not_for_ever() {
    let mut f = Fixture::new();
    let id = f.inherit();
    f.compare(&[f.says(id, false)], 1);
    let Begin::Warm(..) = f.begin(2) else { panic!("it is not idle") };
    for at in (5..75).step_by(3) {
        f.compare(&[f.says(id, false)], at);
    }
    assert!(matches!(f.begin(75), Begin::Start(..)));
    f.compare(&[f.says(id, false)], 78);
    f.compare(&[f.says(id, false)], 81);
    assert!(matches!(f.begin(81), Begin::Warm(found, ..) if found == id));
}

#[test]
fn what_a_worker_lacks_is_gone_and_what_nobody_knows_is_killed() {
    let mut f = Fixture::new();
    let (id, other) = (f.inherit(), f.inherit());
    f.compare(&[f.says(id, false), f.says(other, true)], 1);
    let stray = f.says(SandboxId::new(), false);
    let found = f.compare(std::slice::from_ref(&stray), 2);
    assert_eq!(found.strays, [(stray.id, f.worker)]);
    let gone: HashSet<SandboxId> = found.gone.into_iter().collect();
    assert_eq!(gone, HashSet::from([id, other]));
    assert!(f.table.owned().is_empty());
    // An event that runs may end.
    assert_eq!(f.compare(&[f.says(SandboxId::new(), true)], 2), Found::default());
    // Running ones are counted no more: all ten may run.
    for _ in 0..10 {
        assert!(matches!(f.begin(3), Begin::Start(..)));
    }
}

#[test]
fn a_worker_that_lies_about_whose_a_sandbox_is_gives_it_to_nobody() {
    let mut f = Fixture::new();
    let id = f.inherit();
    let mut lie = f.says(id, false);
    lie.key.account = "222222222222".parse().unwrap();
    assert_eq!(f.compare(std::slice::from_ref(&lie), 1).strays, [(id, f.worker)]);
    let theirs = version_of("222222222222", f.version.key.revision);
    assert!(matches!(begin(&mut f.table, &theirs, 1), Begin::Start(..)));

    // Nor does one that claims what is elsewhere.
    f.compare(&[f.says(id, false)], 1);
    let said = [f.says(id, false)];
    let liar = WorkerId::new();
    assert_eq!(f.table.compare(liar, &said, moment(2)).strays, [(id, liar)]);
}

#[test]
fn an_answer_from_before_changes_nothing() {
    let mut f = Fixture::new();
    let id = f.inherit();
    f.compare(&[f.says(id, false)], 1);
    let Begin::Warm(..) = f.begin(3) else { panic!("it is not idle") };
    assert_eq!(f.compare(&[], 2), Found::default());
    let Begin::Start(fresh, _) = f.begin(3) else { panic!("two are idle") };
    f.table.started(fresh, f.worker, moment(4));
    assert_eq!(f.compare(&[f.says(id, true)], 4), Found::default());
}

#[test]
fn a_sandbox_of_a_version_that_is_no_more_serves_nobody_again() {
    let mut f = Fixture::new();
    let (id, other) = (f.inherit(), f.inherit());
    f.compare(&[f.says(id, true)], 1);
    assert!(f.table.retire(|_| true, None).is_empty(), "neither is idle");
    f.compare(&[f.says(id, false), f.says(other, true)], 2);
    let found = f.compare(&[f.says(id, false), f.says(other, false)], 3);
    assert_eq!(found.doomed, [(id, f.worker)]);
    let found = f.compare(&[f.says(other, false)], 4);
    assert_eq!(found.doomed, [(other, f.worker)]);
    assert!(f.table.owned().is_empty());
}

#[test]
fn sandboxes_of_a_worker_that_is_missing_for_long_are_gone() {
    let mut f = Fixture::new();
    let (id, untold) = (f.inherit(), f.inherit());
    f.compare(&[f.says(id, false)], 1);
    let (mut missing, here) = (Missing::default(), HashSet::from([f.worker]));
    let mut lost = |here: &HashSet<WorkerId>, all_answered, at| {
        f.table.forget_lost(&mut missing, here, all_answered, Duration::from_secs(at))
    };
    assert_eq!(lost(&HashSet::new(), true, 2), []);
    assert_eq!(lost(&here, true, 8), [], "it is back");
    assert_eq!(lost(&HashSet::new(), false, 9), []);
    assert_eq!(lost(&HashSet::new(), false, 18), []);
    assert_eq!(lost(&HashSet::new(), false, 19), [id]);
    // Of the other, a worker that did not answer might have told.
    assert_eq!(lost(&here, true, 19), [untold]);
    assert!(f.table.owned().is_empty());
}
