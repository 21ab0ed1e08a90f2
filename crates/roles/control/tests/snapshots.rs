//! Versions with a snapshot: what is published, what becomes of it, and what a crash
//! or a deletion in between leaves.

mod fixture;

use fixture::{Fixture, create, zip};
use hearth_services::control::{
    Control, ControlError, CreateFunction, PublishVersion, UpdateCode, UpdateSettings,
};
use hearth_types::{
    ApplyOn, EphemeralStorageMb, FunctionName, FunctionVersion, LastUpdateStatus, Runtime,
    SnapStart, State, StateReasonCode, Version,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const ON: SnapStart = SnapStart { apply_on: ApplyOn::PublishedVersions };

fn with_snap_start(name: &str, handler: &str) -> CreateFunction {
    let mut request = create(name, "1");
    request.handler = handler.to_owned();
    request.settings.snap_start = Some(ON);
    request.publish = true;
    request
}

/// A builder that runs.
struct Builder {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Builder {
    fn of(f: &Fixture) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&f.control).build_snapshots(stop.clone()));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn version(f: &Fixture, name: &FunctionName, number: u64) -> FunctionVersion {
    let found = f.control.get_function(&f.account, name, Version::Published(number)).await;
    found.unwrap().version
}

/// The version once it is not `Pending` any more.
async fn settled(f: &Fixture, name: &FunctionName, number: u64) -> FunctionVersion {
    loop {
        let found = version(f, name, number).await;
        if found.state != State::Pending {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

async fn begun(f: &Fixture, builds: usize) {
    while f.snapshots.begun() < builds {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_published_version_is_pending_until_its_snapshot_is_built() {
    let f = Fixture::new();
    let pending = f.control.create_function(&f.account, with_snap_start("f", "ok")).await.unwrap();
    let name = pending.key.function.clone();
    assert_eq!((pending.key.version, pending.state), (Version::Published(1), State::Pending));
    assert_eq!(pending.state_reason.as_deref(), Some("The function is being created."));
    assert_eq!(pending.state_reason_code, Some(StateReasonCode::Creating));
    assert_eq!(pending.last_update_status, LastUpdateStatus::InProgress);
    assert_eq!(pending.snapshot, None);
    let latest = f.control.get_function(&f.account, &name, Version::Latest).await.unwrap();
    assert_eq!((latest.version.state, latest.version.snapshot), (State::Active, None));

    let publish = || f.control.publish_version(&f.account, &name, PublishVersion::default());
    assert_eq!(publish().await.unwrap(), pending, "nothing changed");
    let builder = Builder::of(&f);
    let active = settled(&f, &name, 1).await;
    assert_eq!((active.state, active.state_reason.clone()), (State::Active, None));
    assert_eq!(active.last_update_status, LastUpdateStatus::Successful);
    assert_eq!(
        f.snapshots.kept.lock().iter().copied().collect::<Vec<_>>(),
        [active.snapshot.unwrap()]
    );
    assert_ne!(active.key.revision, pending.key.revision, "it is another state");
    assert_eq!(publish().await.unwrap(), active, "nothing changed");
    assert_eq!(f.snapshots.begun(), 1);

    // Published while the builder runs, in all the ways there are.
    let update = UpdateCode { zip: zip("2"), publish: true, dry_run: false, if_revision: None };
    let updated = f.control.update_code(&f.account, &name, update).await.unwrap();
    assert_eq!((updated.key.version, updated.state), (Version::Published(2), State::Pending));
    assert_eq!(settled(&f, &name, 2).await.state, State::Active);
    let mut off = UpdateSettings::default();
    off.settings.snap_start = Some(SnapStart::default());
    f.control.update_settings(&f.account, &name, off).await.unwrap();
    let plain = publish().await.unwrap();
    assert_eq!((plain.key.version, plain.state), (Version::Published(3), State::Active));
    let mut on = UpdateSettings::default();
    on.settings.snap_start = Some(ON);
    f.control.update_settings(&f.account, &name, on).await.unwrap();
    assert_eq!(publish().await.unwrap().state, State::Pending);
    assert_eq!(settled(&f, &name, 4).await.state, State::Active);
    builder.stop().await;
}

#[tokio::test]
async fn a_function_that_does_not_initialise_fails_at_once_and_says_why() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, with_snap_start("f", "init.fails")).await;
    let name = made.unwrap().key.function;
    let builder = Builder::of(&f);
    let failed = settled(&f, &name, 1).await;
    assert_eq!((failed.state, failed.snapshot), (State::Failed, None));
    let reason = "The function failed to initialise: ImportError: no module named x";
    assert_eq!(failed.state_reason.as_deref(), Some(reason));
    assert_eq!(failed.state_reason_code, Some(StateReasonCode::FunctionError));
    assert_eq!(failed.last_update_status, LastUpdateStatus::Failed);
    assert_eq!(f.snapshots.begun(), 1);

    // What failed once may not again, so publishing is no dead end.
    let again = f.control.publish_version(&f.account, &name, PublishVersion::default()).await;
    assert_eq!(again.unwrap().key.version, Version::Published(2));
    settled(&f, &name, 2).await;
    builder.stop().await;
}

async fn time_flies() {
    loop {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_are_not_the_functions_are_tried_again_and_not_for_ever() {
    let f = Fixture::new();
    let builder = Builder::of(&f);
    for (handler, builds, state, code) in [
        ("full.twice", 3, State::Active, None),
        ("breaks.once", 2, State::Active, None),
        ("stops.once", 2, State::Active, None),
        ("full.always", 10, State::Failed, Some(StateReasonCode::InsufficientCapacity)),
        ("breaks.always", 10, State::Failed, Some(StateReasonCode::InternalError)),
        ("panics.always", 10, State::Failed, Some(StateReasonCode::InternalError)),
    ] {
        let before = f.snapshots.begun();
        let name = handler.replace('.', "-");
        let made = f.control.create_function(&f.account, with_snap_start(&name, handler)).await;
        // Not before: what is stored is waited for only so long.
        let time = AbortOnDropHandle::new(tokio::spawn(time_flies()));
        let end = settled(&f, &made.unwrap().key.function, 1).await;
        drop(time);
        assert_eq!((end.state, end.state_reason_code), (state, code), "{handler}");
        assert_eq!(f.snapshots.begun() - before, builds, "{handler}");
        assert_eq!(end.state_reason.is_some(), state == State::Failed);
        assert!(!end.state_reason.unwrap_or_default().contains("secret"), "{handler}");
    }
    builder.stop().await;
}

#[tokio::test]
async fn few_are_built_at_once_and_one_account_does_not_keep_another_waiting() {
    let f = Fixture::new();
    f.snapshots.close_gate();
    let builder = Builder::of(&f);
    for n in 0..5 {
        let request = with_snap_start(&format!("f{n}"), "ok");
        f.control.create_function(&f.account, request).await.unwrap();
    }
    begun(&f, 2).await;
    let other = "999999999999".parse().unwrap();
    f.control.create_function(&other, with_snap_start("theirs", "ok")).await.unwrap();
    assert_eq!(f.snapshots.begun(), 2);
    f.snapshots.gate.add_permits(1);
    begun(&f, 3).await;
    assert_eq!(f.snapshots.begun.lock()[2].account, other);
    f.snapshots.gate.add_permits(10);
    begun(&f, 6).await;
    builder.stop().await;
}

#[tokio::test]
async fn a_version_that_is_deleted_meanwhile_stays_deleted() {
    let f = Fixture::new();
    f.snapshots.close_gate();
    let builder = Builder::of(&f);
    let name: FunctionName = "f".parse().unwrap();
    for whole in [false, true] {
        let begun_before = f.snapshots.begun();
        f.control.create_function(&f.account, with_snap_start("f", "ok")).await.unwrap();
        begun(&f, begun_before + 1).await;
        let gone = if whole { None } else { Some(Version::Published(1)) };
        f.control.delete_function(&f.account, &name, gone).await.unwrap();
        f.snapshots.gate.add_permits(1);
        while f.snapshots.kept.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        // It waits for the build, and takes what that left.
        f.control.sweep().await.unwrap();
        assert!(f.snapshots.kept.lock().is_empty());
        let found = f.control.get_function(&f.account, &name, Version::Published(1)).await;
        assert!(
            matches!(
                found,
                Err(ControlError::VersionNotFound(..) | ControlError::FunctionNotFound(_))
            ),
            "{found:?}"
        );
        if !whole {
            f.control.delete_function(&f.account, &name, None).await.unwrap();
        }
    }
    builder.stop().await;
}

#[tokio::test]
async fn what_a_crash_cut_off_is_resumed_by_the_next_start() {
    let f = Fixture::new();
    let pending = f.control.create_function(&f.account, with_snap_start("f", "ok")).await.unwrap();
    let name = pending.key.function.clone();
    // Before it began.
    let f = f.restart();
    assert_eq!(version(&f, &name, 1).await, pending);

    // While it runs.
    f.snapshots.close_gate();
    let builder = Builder::of(&f);
    begun(&f, 1).await;
    builder.task.abort();
    let _aborted = builder.task.await;
    let f = f.restart();
    f.snapshots.gate.add_permits(1);
    assert_eq!(version(&f, &name, 1).await, pending);

    let builder = Builder::of(&f);
    assert_eq!(settled(&f, &name, 1).await.state, State::Active);
    builder.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_builds_but_not_for_ever() {
    let f = Fixture::new();
    f.snapshots.close_gate();
    let builder = Builder::of(&f);
    let made = f.control.create_function(&f.account, with_snap_start("f", "ok")).await.unwrap();
    begun(&f, 1).await;
    builder.stop.cancel();
    f.snapshots.gate.add_permits(1);
    builder.stop().await;
    assert_eq!(version(&f, &made.key.function, 1).await.state, State::Active);

    let builder = Builder::of(&f);
    let made = f.control.create_function(&f.account, with_snap_start("g", "ok")).await.unwrap();
    begun(&f, 2).await;
    tokio::time::pause();
    builder.stop().await;
    assert_eq!(version(&f, &made.key.function, 1).await.state, State::Pending);
    tokio::time::resume();

    // Whoever builds next, in this process too, begins it anew.
    f.snapshots.gate.add_permits(1);
    let builder = Builder::of(&f);
    let next = tokio::time::timeout(Duration::from_secs(20), settled(&f, &made.key.function, 1));
    assert_eq!(next.await.expect("it is built").state, State::Active);
    builder.stop().await;
}

#[tokio::test]
async fn snapshots_are_swept_once_nothing_names_them() {
    const KEPT: Duration = Duration::from_secs(600);
    let f = Fixture::new();
    let f = f.restart_with(|control| control.with_unnamed_kept(KEPT));
    let builder = Builder::of(&f);
    let made = f.control.create_function(&f.account, with_snap_start("f", "ok")).await.unwrap();
    let name = made.key.function;
    let first = settled(&f, &name, 1).await.snapshot.unwrap();
    let stray = hearth_types::SnapshotId::new();
    f.snapshots.kept.lock().insert(stray);
    f.control.sweep().await.unwrap();
    assert_eq!(f.snapshots.kept.lock().iter().copied().collect::<Vec<_>>(), [first]);

    f.control.delete_function(&f.account, &name, Some(Version::Published(1))).await.unwrap();
    f.control.sweep().await.unwrap();
    assert!(f.snapshots.kept.lock().contains(&first), "a sandbox may be starting from it");
    tokio::time::pause();
    tokio::time::advance(KEPT).await;
    f.control.sweep().await.unwrap();
    assert!(f.snapshots.kept.lock().is_empty());
    builder.stop().await;
}

#[tokio::test]
async fn a_sweep_waits_for_builds_but_not_for_ever() {
    let f = Fixture::new();
    f.snapshots.close_gate();
    let builder = Builder::of(&f);
    let made = f.control.create_function(&f.account, with_snap_start("f", "ok")).await.unwrap();
    begun(&f, 1).await;
    let retains = || f.snapshots.retains.load(Ordering::SeqCst);
    tokio::time::pause();
    f.control.sweep().await.unwrap();
    assert_eq!(retains(), 0, "it is left to the next");
    tokio::time::resume();

    let open = async {
        // Each of these is a turn for the sweep, which takes fewer.
        for _ in 0..100 {
            f.control.account_usage(&f.account).await.unwrap();
        }
        assert_eq!(retains(), 0, "not before the snapshot is named");
        f.snapshots.gate.add_permits(1);
    };
    let (swept, ()) = tokio::join!(f.control.sweep(), open);
    swept.unwrap();
    assert_eq!(retains(), 1);
    let active = version(&f, &made.key.function, 1).await;
    assert!(f.snapshots.kept.lock().contains(&active.snapshot.unwrap()));
    builder.stop().await;
}

#[tokio::test]
async fn what_no_snapshot_can_be_taken_of_is_refused() {
    let f = Fixture::new();
    let mut binary = with_snap_start("f", "ok");
    binary.runtime = Runtime::ProvidedAl2023;
    let mut large = with_snap_start("f", "ok");
    large.settings.ephemeral_storage = Some(EphemeralStorageMb::try_from(513).unwrap());
    for (request, text) in [
        (binary, "provided.al2023 is not supported for SnapStart enabled functions."),
        (large, "Ephemeral storage greater than 512 MB is not supported"),
    ] {
        match f.control.create_function(&f.account, request).await {
            Err(ControlError::Invalid(told)) => assert!(told.contains(text), "{told}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(f.objects().is_empty(), "refused before it was built");

    // Together with what was set before.
    let made = f.control.create_function(&f.account, with_snap_start("f", "ok")).await.unwrap();
    let mut larger = UpdateSettings::default();
    larger.settings.ephemeral_storage = Some(EphemeralStorageMb::try_from(1024).unwrap());
    let refused = f.control.update_settings(&f.account, &made.key.function, larger.clone()).await;
    assert!(matches!(refused, Err(ControlError::Invalid(_))), "{refused:?}");
    larger.settings.snap_start = Some(SnapStart::default());
    f.control.update_settings(&f.account, &made.key.function, larger).await.unwrap();
}

#[tokio::test]
async fn a_server_that_takes_no_snapshots_says_so() {
    let f = Fixture::new();
    f.control.create_function(&f.account, with_snap_start("before", "ok")).await.unwrap();
    let without = f.elsewhere();
    let created = without.create_function(&f.account, with_snap_start("f", "ok")).await;
    let name = "before".parse().unwrap();
    let update = UpdateCode { zip: zip("2"), publish: true, dry_run: false, if_revision: None };
    let updated = without.update_code(&f.account, &name, update).await;
    for refused in [created, updated] {
        assert!(matches!(refused, Err(ControlError::Unsupported(_))), "{refused:?}");
    }
    without.sweep().await.unwrap();
}
