use super::*;
use crate::Running;
use crate::testing::{moment, version_of};
use hearth_types::{FunctionVersion, Reign, RevisionId};

const ACCOUNT: &str = "111111111111";

fn begin(table: &mut Table, version: &FunctionVersion) -> Begin {
    table.begin(&version.into(), StartKind::Warm, moment(0), SandboxId::new)
}

fn release(
    table: &mut Table,
    id: SandboxId,
    hold: Hold,
    disposition: Disposition,
) -> Option<WorkerId> {
    table.release(id, hold, disposition, moment(0))
}

fn make_idle(table: &mut Table, version: &FunctionVersion) -> SandboxId {
    let Begin::Start(id, hold) = begin(table, version) else { panic!("warm?") };
    table.started(id, WorkerId::new(), moment(0));
    assert!(release(table, id, hold, Disposition::Reusable).is_none());
    id
}

/// Has it serve once more.
fn busy(table: &mut Table, version: &FunctionVersion) -> Hold {
    match begin(table, version) {
        Begin::Warm(_, _, hold) => hold,
        _ => panic!("none is idle"),
    }
}

#[test]
fn a_busy_sandbox_is_never_handed_out_again() {
    let mut table = Table::new(Reign::ALONE, Running::new(10));
    let version = version_of(ACCOUNT, RevisionId::new());
    let id = make_idle(&mut table, &version);
    assert!(matches!(begin(&mut table, &version), Begin::Warm(i, _, _) if i == id));
    assert!(matches!(begin(&mut table, &version), Begin::Start(i, _) if i != id));
}

#[test]
fn the_one_used_last_serves_next_and_the_others_grow_old() {
    let mut table = Table::new(Reign::ALONE, Running::new(10));
    let version = version_of(ACCOUNT, RevisionId::new());
    let mut hold_of = |n: u64| {
        let at = moment(n);
        let wanted = (&version).into();
        let Begin::Start(id, hold) = table.begin(&wanted, StartKind::Warm, at, SandboxId::new)
        else {
            panic!("one is idle")
        };
        table.started(id, WorkerId::new(), at);
        (id, hold)
    };
    let (first, second) = (hold_of(0), hold_of(1));
    for (n, (id, hold)) in [(10, first), (20, second)] {
        table.release(id, hold, Disposition::Reusable, moment(n));
    }
    assert!(matches!(begin(&mut table, &version), Begin::Warm(id, ..) if id == second.0));
    let ten = std::time::Duration::from_secs(10);
    assert!(table.expire(moment(19).at, ten).is_empty());
    let gone: Vec<SandboxId> =
        table.expire(moment(99).at, ten).into_iter().map(|(id, _)| id).collect();
    assert_eq!(gone, [first.0], "what is busy stays");
}

#[test]
fn another_revision_or_account_never_gets_it() {
    let mut table = Table::new(Reign::ALONE, Running::new(10));
    let revision = RevisionId::new();
    make_idle(&mut table, &version_of(ACCOUNT, revision));
    let updated = version_of(ACCOUNT, RevisionId::new());
    assert!(matches!(begin(&mut table, &updated), Begin::Start(..)));
    let foreign = version_of("222222222222", revision);
    assert!(matches!(begin(&mut table, &foreign), Begin::Start(..)));
}

#[test]
fn a_discarded_or_retired_sandbox_is_killed_not_kept() {
    let mut table = Table::new(Reign::ALONE, Running::new(10));
    let version = version_of(ACCOUNT, RevisionId::new());
    let id = make_idle(&mut table, &version);
    let hold = busy(&mut table, &version);
    assert!(table.retire(|k| *k == version.key, None).is_empty(), "it is busy");
    assert!(release(&mut table, id, hold, Disposition::Reusable).is_some());
    let id = make_idle(&mut table, &version);
    let hold = busy(&mut table, &version);
    assert!(release(&mut table, id, hold, Disposition::Discard).is_some());
    assert!(table.list(&version.key.account).is_empty());
}

#[test]
fn concurrency_is_bounded_per_account_and_given_back() {
    let mut table = Table::new(Reign::ALONE, Running::new(1));
    let version = version_of(ACCOUNT, RevisionId::new());
    let Begin::Start(id, _) = begin(&mut table, &version) else { panic!("one is idle") };
    assert_eq!(begin(&mut table, &version), Begin::OverConcurrency);
    let other = version_of("222222222222", RevisionId::new());
    assert!(matches!(begin(&mut table, &other), Begin::Start(..)));
    table.forget(id);
    assert!(matches!(begin(&mut table, &version), Begin::Start(..)));
}

#[test]
fn a_second_release_changes_nothing() {
    let mut table = Table::new(Reign::ALONE, Running::new(1));
    let version = version_of(ACCOUNT, RevisionId::new());
    let id = make_idle(&mut table, &version);
    let first = busy(&mut table, &version);
    assert!(release(&mut table, id, first, Disposition::Reusable).is_none());
    assert!(release(&mut table, id, first, Disposition::Discard).is_none());
    // Nor does one that comes when another has it.
    let second = busy(&mut table, &version);
    assert!(release(&mut table, id, first, Disposition::Discard).is_none());
    assert!(release(&mut table, id, second, Disposition::Reusable).is_none());
    assert!(matches!(begin(&mut table, &version), Begin::Warm(i, _, _) if i == id));
}
