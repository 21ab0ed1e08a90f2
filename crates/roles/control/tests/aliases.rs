//! Aliases: what they name, what they serve meanwhile, and what they keep.

mod fixture;

use async_trait::async_trait;
use fixture::{Fixture, create};
use hearth_services::control::{
    Alias, Control, ControlError, CreateAlias, PublishVersion, UpdateAlias, UpdateSettings,
};
use hearth_services::metastore::{
    Lease, LeaseId, MetaStore, MetaStoreError, Revision, Txn, TxnOutcome, Versioned, Watch,
};
use hearth_types::{
    ALIASES_MAX, AliasName, ApplyOn, FunctionName, MemoryMb, SnapStart, State, Version, Weight,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const fn v(number: u64) -> Version {
    Version::Published(number)
}

fn name(text: &str) -> AliasName {
    text.parse().unwrap()
}

fn naming(alias: &str, version: Version) -> CreateAlias {
    CreateAlias { name: name(alias), version, description: String::new(), additional: None }
}

fn to(version: Version) -> UpdateAlias {
    UpdateAlias { version: Some(version), ..UpdateAlias::default() }
}

struct Aliases {
    f: Fixture,
    function: FunctionName,
}

impl Aliases {
    /// A function with a version of each kind that `handlers` end in; none is built yet.
    async fn of(handlers: &[&str]) -> Self {
        let f = Fixture::new();
        let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
        let all = Self { f, function: made.key.function };
        for (number, handler) in (1i64..).zip(handlers) {
            let mut change = UpdateSettings::default();
            change.settings.handler = Some((*handler).to_owned());
            change.settings.memory = Some(MemoryMb::try_from(128 + number).unwrap());
            let apply_on = match *handler {
                "plain" => ApplyOn::None,
                _ => ApplyOn::PublishedVersions,
            };
            change.settings.snap_start = Some(SnapStart { apply_on });
            let f = &all.f;
            f.control.update_settings(&f.account, &all.function, change).await.unwrap();
            let publish = PublishVersion::default();
            f.control.publish_version(&f.account, &all.function, publish).await.unwrap();
        }
        all
    }

    async fn create(&self, request: CreateAlias) -> Result<Alias, ControlError> {
        self.f.control.create_alias(&self.f.account, &self.function, request).await
    }

    async fn update(&self, alias: &str, request: UpdateAlias) -> Result<Alias, ControlError> {
        self.f.control.update_alias(&self.f.account, &self.function, &name(alias), request).await
    }

    async fn get(&self, alias: &str) -> Result<Alias, ControlError> {
        self.f.control.get_alias(&self.f.account, &self.function, &name(alias)).await
    }

    async fn delete_version(&self, version: Version) -> Result<(), ControlError> {
        self.f.control.delete_function(&self.f.account, &self.function, Some(version)).await
    }

    /// Builds what is pending.
    async fn settle(&self, version: Version) -> State {
        let stop = CancellationToken::new();
        let builder = tokio::spawn(Arc::clone(&self.f.control).build_snapshots(stop.clone()));
        let state = loop {
            let found = self.f.control.get_function(&self.f.account, &self.function, version).await;
            match found.unwrap().version.state {
                State::Pending => tokio::task::yield_now().await,
                state => break state,
            }
        };
        stop.cancel();
        builder.await.unwrap();
        state
    }
}

#[tokio::test]
async fn an_alias_is_made_changed_listed_and_deleted() {
    let a = Aliases::of(&["plain", "plain"]).await;
    let live = a.create(naming("live", v(1))).await.unwrap();
    assert_eq!((live.record.version, live.record.before), (v(1), None));
    assert_eq!(a.get("live").await.unwrap(), live);
    let taken = a.create(naming("live", v(2))).await;
    assert!(matches!(taken, Err(ControlError::AliasExists(..))), "{taken:?}");
    let nothing = a.create(naming("none", v(9))).await;
    assert!(matches!(nothing, Err(ControlError::VersionNotFound(_, v)) if v == self::v(9)));

    let half = Some((v(1), Weight::try_from(0.5).unwrap()));
    let change = UpdateAlias {
        description: Some("both".to_owned()),
        additional: Some(half),
        if_revision: Some(live.record.revision),
        ..to(v(2))
    };
    let both = a.update("live", change.clone()).await.unwrap();
    assert_eq!((both.record.version, both.record.additional), (v(2), half));
    assert_ne!(both.record.revision, live.record.revision);
    let stale = a.update("live", change).await;
    assert!(matches!(stale, Err(ControlError::PreconditionFailed(_))), "{stale:?}");
    let none = UpdateAlias { additional: Some(None), ..UpdateAlias::default() };
    let single = a.update("live", none).await.unwrap().record;
    assert_eq!((single.additional, &*single.description), (None, "both"));
    for bad in [
        UpdateAlias { additional: Some(half), ..to(v(1)) },
        UpdateAlias { additional: Some(half), ..to(Version::Latest) },
    ] {
        let refused = a.update("live", bad).await;
        assert!(matches!(refused, Err(ControlError::Invalid(_))), "{refused:?}");
    }

    for (alias, version) in [("beta", v(1)), ("dev", Version::Latest), ("old", v(1))] {
        a.create(naming(alias, version)).await.unwrap();
    }
    let list = async |version, marker, size| {
        let control = &a.f.control;
        let page = control.list_aliases(&a.f.account, &a.function, version, marker, size).await;
        let page = page.unwrap();
        let names: Vec<_> = page.items.into_iter().map(|alias| alias.name.to_string()).collect();
        (names.join(" "), page.next_marker)
    };
    assert_eq!(list(None, None, 50).await, ("beta dev live old".to_owned(), None));
    assert_eq!(list(Some(v(1)), None, 50).await, ("beta old".to_owned(), None));
    let (first, marker) = list(None, None, 3).await;
    assert_eq!((&*first, list(None, marker, 3).await), ("beta dev live", ("old".to_owned(), None)));

    // A restart keeps them, and so does publishing.
    let f = a.f.restart();
    f.control.publish_version(&f.account, &a.function, PublishVersion::default()).await.unwrap();
    let a = Aliases { f, function: a.function };
    assert_eq!(a.get("live").await.unwrap().record, single);
    for _ in 0..2 {
        let control = &a.f.control;
        control.delete_alias(&a.f.account, &a.function, &name("live")).await.unwrap();
    }
    let gone = a.get("live").await;
    assert!(matches!(gone, Err(ControlError::AliasNotFound(..))), "{gone:?}");

    a.f.control.delete_function(&a.f.account, &a.function, None).await.unwrap();
    a.f.control.create_function(&a.f.account, create("f", "1")).await.unwrap();
    assert!(a.get("old").await.is_err(), "aliases go with their function");
}

#[tokio::test]
async fn a_version_that_is_not_ready_leaves_the_one_before_in_service() {
    let a = Aliases::of(&["plain", "ok", "init.fails", "ok"]).await;
    let of = |alias: &Alias| alias.record.candidates(|| 0).collect::<Vec<_>>();
    a.create(naming("live", v(1))).await.unwrap();
    assert_eq!(of(&a.update("live", to(v(2))).await.unwrap()), [v(2), v(1)]);
    // Again, before the first is ready: the one that serves goes on.
    assert_eq!(of(&a.update("live", to(v(4))).await.unwrap()), [v(4), v(1)]);
    assert_eq!(of(&a.update("live", to(v(2))).await.unwrap()), [v(2), v(1)]);
    assert_eq!(of(&a.update("live", to(v(3))).await.unwrap()), [v(3), v(1)]);
    for version in [v(1), v(3)] {
        let kept = a.delete_version(version).await;
        let Err(ControlError::Conflict(text)) = kept else { panic!("{kept:?}") };
        assert_eq!(
            text,
            "Unable to delete version because the following aliases reference it: [live]"
        );
    }
    assert_eq!(a.settle(v(3)).await, State::Failed);
    assert!(a.delete_version(v(1)).await.is_err(), "it serves as long as the new one fails");
    assert_eq!(a.settle(v(2)).await, State::Active);
    assert_eq!(of(&a.update("live", to(v(2))).await.unwrap()), [v(2)]);
    a.delete_version(v(1)).await.unwrap();

    let failed = a.update("live", to(v(3))).await;
    assert!(matches!(failed, Err(ControlError::Conflict(_))), "{failed:?}");
    let failed = a.create(naming("new", v(3))).await;
    assert!(matches!(failed, Err(ControlError::Conflict(_))), "{failed:?}");
}

#[tokio::test]
async fn what_was_served_before_is_free_once_the_new_one_is_ready() {
    let a = Aliases::of(&["plain", "ok"]).await;
    a.create(naming("live", v(1))).await.unwrap();
    a.update("live", to(v(2))).await.unwrap();
    assert_eq!(a.settle(v(2)).await, State::Active);
    a.delete_version(v(1)).await.unwrap();
    let kept = a.delete_version(v(2)).await;
    assert!(matches!(kept, Err(ControlError::Conflict(_))), "{kept:?}");
}

/// A store that holds one transaction back, just before it is committed.
struct HoldsOne {
    inner: Arc<dyn MetaStore>,
    armed: AtomicBool,
    held: Notify,
    go: Notify,
}

#[async_trait]
impl MetaStore for HoldsOne {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, MetaStoreError> {
        self.inner.get(key).await
    }
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Versioned)>, Revision), MetaStoreError> {
        self.inner.list(prefix, after, limit).await
    }
    async fn transact(&self, txn: Txn) -> Result<TxnOutcome, MetaStoreError> {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.held.notify_one();
            self.go.notified().await;
        }
        self.inner.transact(txn).await
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, MetaStoreError> {
        self.inner.watch(prefix, after).await
    }
    async fn grant_lease(&self, ttl: Duration) -> Result<Lease, MetaStoreError> {
        self.inner.grant_lease(ttl).await
    }
    async fn keep_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        self.inner.keep_lease(lease).await
    }
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), MetaStoreError> {
        self.inner.revoke_lease(lease).await
    }
}

#[tokio::test]
async fn naming_a_version_and_deleting_it_exclude_each_other() {
    for naming_is_held in [false, true] {
        let mut a = Aliases::of(&["plain", "plain"]).await;
        a.create(naming("live", v(1))).await.unwrap();
        let mut store = None;
        let wrap = |inner| -> Arc<dyn MetaStore> {
            let (held, go) = (Notify::new(), Notify::new());
            let holds = Arc::new(HoldsOne { inner, armed: AtomicBool::new(true), held, go });
            store = Some(Arc::clone(&holds));
            holds
        };
        a.f = a.f.reopen(wrap, |control| control);
        let store = store.unwrap();
        let name = async || a.update("live", to(v(2))).await.map(drop);
        let delete = async || a.delete_version(v(2)).await;
        // The one has read all that it needs when the other comes, and is done.
        let (first, second) = if naming_is_held {
            let second = async {
                store.held.notified().await;
                let done = delete().await;
                store.go.notify_one();
                done
            };
            tokio::join!(name(), second)
        } else {
            let second = async {
                store.held.notified().await;
                let done = name().await;
                store.go.notify_one();
                done
            };
            tokio::join!(delete(), second)
        };
        second.unwrap();
        match (naming_is_held, first) {
            (true, Err(ControlError::VersionNotFound(..)))
            | (false, Err(ControlError::Conflict(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn aliases_of_a_function_are_bounded() {
    let a = Aliases::of(&["plain"]).await;
    // The longest and most awkward, which its record has to hold.
    let description = "\u{1}".repeat(256);
    for n in 0..ALIASES_MAX {
        let alias = format!("{n:0>128}").replacen('0', "a", 1);
        let request = CreateAlias { description: description.clone(), ..naming(&alias, v(1)) };
        a.create(request).await.unwrap();
    }
    let more = a.create(naming("one-more", v(1))).await;
    assert!(matches!(more, Err(ControlError::Invalid(_))), "{more:?}");
    let tags = (0..48).map(|n| (format!("{n:0>128}"), "\u{1}".repeat(256))).collect();
    a.f.control.tag(&a.f.account, &a.function, tags).await.unwrap();
}
