//! Functions, versions and tags as the front end sees them.

mod fixture;

use fixture::{Fixture, create, zip};
use hearth_services::control::{
    Control, ControlError, FunctionSettings, PublishVersion, UpdateCode, UpdateSettings,
};
use hearth_types::{
    FunctionName, FunctionVersion, LastUpdateStatus, MemoryMb, RevisionId, Runtime, State, Version,
};
use std::collections::{BTreeMap, BTreeSet};

fn update_code(text: &str) -> UpdateCode {
    UpdateCode { zip: zip(text), publish: false, dry_run: false, if_revision: None }
}

fn memory(mb: i64) -> UpdateSettings {
    let memory = Some(MemoryMb::try_from(mb).unwrap());
    let settings = FunctionSettings { memory, ..FunctionSettings::default() };
    UpdateSettings { settings, if_revision: None }
}

async fn publish(f: &Fixture, name: &FunctionName) -> FunctionVersion {
    f.control.publish_version(&f.account, name, PublishVersion::default()).await.unwrap()
}

#[tokio::test]
async fn what_is_created_is_complete_and_survives() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    assert_eq!(made.state, State::Active);
    assert_eq!(made.last_update_status, LastUpdateStatus::Successful);
    assert_eq!(made.key.version, Version::Latest);
    assert_eq!(made.logging.log_group, "/aws/lambda/f");
    assert!(f.has_code_of(&made).await);

    let f = f.restart();
    let found = f.control.get_function(&f.account, &made.key.function, Version::Latest).await;
    let found = found.unwrap();
    assert_eq!(found.version, made);
    assert_eq!(found.tags, BTreeMap::from([("team".to_owned(), "a".to_owned())]));
    let again = f.control.create_function(&f.account, create("f", "2")).await;
    assert!(matches!(again, Err(ControlError::FunctionExists(_))), "{again:?}");
}

#[tokio::test]
async fn code_at_rest_is_sealed() {
    let f = Fixture::new();
    let secret = "the password is in this line";
    assert!(holds(&zip(secret), secret.as_bytes()), "it would be seen");
    f.control.create_function(&f.account, create("f", secret)).await.unwrap();
    let objects = f.objects();
    assert!(objects.len() >= 4, "chunks and a manifest of zip and image: {objects:?}");
    for object in objects {
        assert!(!holds(&std::fs::read(&object).unwrap(), secret.as_bytes()), "{object:?}");
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[tokio::test]
async fn a_runtime_that_cannot_be_started_is_refused() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let mut other = create("g", "2");
    other.runtime = Runtime::NodeJs22;
    let created = f.control.create_function(&f.account, other).await;
    let mut to_it = UpdateSettings::default();
    to_it.settings.runtime = Some(Runtime::NodeJs22);
    let updated = f.control.update_settings(&f.account, &made.key.function, to_it).await;
    for refused in [created, updated] {
        assert!(
            matches!(refused, Err(ControlError::RuntimeNotBuilt(Runtime::NodeJs22))),
            "{refused:?}"
        );
    }
    assert_eq!(f.packages().await.len(), 1, "it was refused before it was built");
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let f = Fixture::new();
    let other: hearth_types::AccountId = "999999999999".parse().unwrap();
    let name: FunctionName = "f".parse().unwrap();
    let mine = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let theirs = f.control.create_function(&other, create("f", "1")).await.unwrap();
    assert_ne!(mine.code.zip_file, theirs.code.zip_file, "each has a manifest of its own");
    assert!(f.file(&other, &mine.code.zip_file).await.is_none(), "sealed by another's key");
    f.control.create_function(&f.account, create("only-mine", "1")).await.unwrap();

    let names = |page: hearth_services::control::Page<FunctionVersion>| -> Vec<_> {
        page.items.into_iter().map(|v| (v.key.account, v.key.function.to_string())).collect()
    };
    for all in [false, true] {
        let page = f.control.list_functions(&other, all, None, 50).await.unwrap();
        assert_eq!(names(page), [(other.clone(), "f".to_owned())]);
    }
    // A marker from one account is only a position in the other's.
    let page = f.control.list_functions(&f.account, false, None, 1).await.unwrap();
    let page = f.control.list_functions(&other, true, page.next_marker, 50).await.unwrap();
    assert!(page.items.is_empty());

    let only_mine: FunctionName = "only-mine".parse().unwrap();
    let calls = [
        f.control.get_function(&other, &only_mine, Version::Latest).await.map(drop),
        f.control.update_code(&other, &only_mine, update_code("2")).await.map(drop),
        f.control.update_settings(&other, &only_mine, memory(256)).await.map(drop),
        f.control.publish_version(&other, &only_mine, PublishVersion::default()).await.map(drop),
        f.control.list_versions(&other, &only_mine, None, 50).await.map(drop),
        f.control.tag(&other, &only_mine, BTreeMap::new()).await,
        f.control.untag(&other, &only_mine, Vec::new()).await,
        f.control.delete_function(&other, &only_mine, None).await,
        f.control.delete_function(&other, &only_mine, Some(Version::Published(1))).await,
    ];
    for call in calls {
        assert!(matches!(call, Err(ControlError::FunctionNotFound(_))), "{call:?}");
    }
    f.control.delete_function(&other, &name, None).await.unwrap();
    f.control.get_function(&f.account, &name, Version::Latest).await.unwrap();
    assert_eq!(f.control.account_usage(&other).await.unwrap().functions, 0);
    assert_eq!(f.control.account_usage(&f.account).await.unwrap().functions, 2);
}

#[tokio::test]
async fn every_change_has_a_revision_of_its_own() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name = made.key.function.clone();
    let coded = f.control.update_code(&f.account, &name, update_code("2")).await.unwrap();
    let set = f.control.update_settings(&f.account, &name, memory(512)).await.unwrap();
    let revisions = [&made, &coded, &set].map(|version| version.key.revision);
    assert_eq!(revisions.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_ne!(coded.code.zip_sha256_base64, made.code.zip_sha256_base64);
    assert_eq!(set.code, coded.code);
    assert_eq!((set.memory.get(), set.timeout), (512, made.timeout));

    let stale = Some(made.key.revision);
    let refusals = [
        f.control
            .update_settings(
                &f.account,
                &name,
                UpdateSettings { if_revision: stale, ..memory(1024) },
            )
            .await,
        f.control
            .update_code(&f.account, &name, UpdateCode { if_revision: stale, ..update_code("3") })
            .await,
        f.control
            .publish_version(
                &f.account,
                &name,
                PublishVersion { if_revision: stale, ..PublishVersion::default() },
            )
            .await,
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(ControlError::PreconditionFailed(_))), "{refusal:?}");
    }
    let right = UpdateSettings { if_revision: Some(set.key.revision), ..memory(1024) };
    f.control.update_settings(&f.account, &name, right).await.unwrap();
}

#[tokio::test]
async fn a_dry_run_judges_and_changes_nothing() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name = &made.key.function;
    let objects = f.objects();
    let dry = |text| UpdateCode { dry_run: true, ..update_code(text) };
    let would_be = f.control.update_code(&f.account, name, dry("2")).await.unwrap();
    assert_ne!(would_be.code.zip_sha256_base64, made.code.zip_sha256_base64);
    let bad = UpdateCode { zip: "no zip".into(), ..dry("") };
    let refused = f.control.update_code(&f.account, name, bad).await;
    assert!(matches!(refused, Err(ControlError::BadCode(_))), "{refused:?}");
    let found = f.control.get_function(&f.account, name, Version::Latest).await.unwrap();
    assert_eq!(found.version, made);
    assert_eq!(f.objects(), objects);
}

#[tokio::test]
async fn publishing_freezes_and_numbers_are_never_reused() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name = made.key.function.clone();
    let first = publish(&f, &name).await;
    assert_eq!(first.key.version, Version::Published(1));
    assert_ne!(first.key.revision, made.key.revision);
    assert_eq!(publish(&f, &name).await, first, "nothing changed");

    f.control.update_settings(&f.account, &name, memory(256)).await.unwrap();
    let described = PublishVersion { description: Some("two".into()), ..Default::default() };
    let second = f.control.publish_version(&f.account, &name, described).await.unwrap();
    assert_eq!((second.key.version, &*second.description), (Version::Published(2), "two"));
    assert_eq!(publish(&f, &name).await, second, "the description is not content");

    let frozen = f.control.get_function(&f.account, &name, Version::Published(1)).await.unwrap();
    assert_eq!(frozen.version, first);

    f.control.delete_function(&f.account, &name, Some(Version::Published(2))).await.unwrap();
    f.control.delete_function(&f.account, &name, Some(Version::Published(2))).await.unwrap();
    assert_eq!(publish(&f, &name).await.key.version, Version::Published(3));
    let gone = f.control.get_function(&f.account, &name, Version::Published(2)).await;
    assert!(matches!(gone, Err(ControlError::VersionNotFound(..))), "{gone:?}");

    // In one call with the change, and back to the same.
    let change = UpdateCode { publish: true, ..update_code("4") };
    let fourth = f.control.update_code(&f.account, &name, change.clone()).await.unwrap();
    assert_eq!(fourth.key.version, Version::Published(4));
    assert_eq!(f.control.update_code(&f.account, &name, change).await.unwrap(), fourth);

    let wrong = PublishVersion {
        if_code_sha256: Some(first.code.zip_sha256_base64.clone()),
        ..PublishVersion::default()
    };
    let refused = f.control.publish_version(&f.account, &name, wrong).await;
    assert!(matches!(refused, Err(ControlError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn created_and_published_in_one_call() {
    let f = Fixture::new();
    let mut request = create("f", "1");
    request.publish = true;
    let made = f.control.create_function(&f.account, request).await.unwrap();
    assert_eq!(made.key.version, Version::Published(1));
    let name = made.key.function.clone();
    let versions = f.control.list_versions(&f.account, &name, None, 50).await.unwrap();
    let versions: Vec<_> = versions.items.iter().map(|v| v.key.version).collect();
    assert_eq!(versions, [Version::Latest, Version::Published(1)]);
    assert_eq!(publish(&f, &name).await, made);
}

#[tokio::test]
async fn latest_is_deleted_only_with_its_function() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name = &made.key.function;
    publish(&f, name).await;
    let refused = f.control.delete_function(&f.account, name, Some(Version::Latest)).await;
    assert!(matches!(refused, Err(ControlError::Invalid(_))), "{refused:?}");
    f.control.delete_function(&f.account, name, None).await.unwrap();
    for version in [Version::Latest, Version::Published(1)] {
        let gone = f.control.get_function(&f.account, name, version).await;
        assert!(matches!(gone, Err(ControlError::FunctionNotFound(_))), "{gone:?}");
    }
    let again = f.control.delete_function(&f.account, name, None).await;
    assert!(matches!(again, Err(ControlError::FunctionNotFound(_))), "{again:?}");

    // A new life of the name: nothing of the old one shows.
    let reborn = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    assert_ne!(reborn.key.revision, made.key.revision);
    let versions = f.control.list_versions(&f.account, name, None, 50).await.unwrap();
    assert_eq!(versions.items, [reborn]);
    assert_eq!(publish(&f, name).await.key.version, Version::Published(1));
}

#[tokio::test]
async fn listings_page_through_everything_once_in_order() {
    let f = Fixture::new();
    let names = ["a", "a-b", "a0", "b", "c", "z_z"];
    for name in names {
        f.control.create_function(&f.account, create(name, "1")).await.unwrap();
    }
    let b: FunctionName = "b".parse().unwrap();
    let mut expected: Vec<(String, Version)> =
        names.map(|name| (name.to_owned(), Version::Latest)).into();
    for i in 1..=3u64 {
        let mut change = memory(128 + i as i64);
        change.settings.description = Some(i.to_string());
        f.control.update_settings(&f.account, &b, change).await.unwrap();
        publish(&f, &b).await;
        expected.insert(3 + i as usize, ("b".to_owned(), Version::Published(i)));
    }
    for size in [1, 2, 3, 50] {
        for all in [false, true] {
            let (mut found, mut marker) = (Vec::new(), None);
            loop {
                let page = f.control.list_functions(&f.account, all, marker, size).await.unwrap();
                assert!(page.items.len() <= size);
                found.extend(page.items.into_iter().map(|v| {
                    assert!(all || v.key.version == Version::Latest);
                    (v.key.function.to_string(), v.key.version)
                }));
                marker = page.next_marker;
                if marker.is_none() {
                    break;
                }
            }
            let mut expected = expected.clone();
            expected.retain(|(_, version)| all || *version == Version::Latest);
            assert_eq!(found, expected, "pages of {size}");
        }
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let page = f.control.list_versions(&f.account, &b, marker, size).await.unwrap();
            found.extend(page.items.into_iter().map(|v| v.key.version));
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(found[0], Version::Latest);
        assert_eq!(found[1..], [1, 2, 3].map(Version::Published));
    }
    let forged = f.control.list_functions(&f.account, false, Some("../x".to_owned()), 5).await;
    assert!(matches!(forged, Err(ControlError::Invalid(_))), "{forged:?}");
}

#[tokio::test]
async fn concurrent_changes_all_count_or_are_refused() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name = &made.key.function;
    let change = |i: i64| f.control.update_settings(&f.account, name, memory(128 + i));
    let tag = |key: &str| {
        f.control.tag(&f.account, name, BTreeMap::from([(key.to_owned(), "v".to_owned())]))
    };
    let publish = || f.control.publish_version(&f.account, name, PublishVersion::default());
    let (a, b, c, d, e, p, q) =
        tokio::join!(change(1), change(2), change(3), tag("x"), tag("y"), publish(), publish());
    let revisions: BTreeSet<RevisionId> =
        [a, b, c].into_iter().map(|version| version.unwrap().key.revision).collect();
    assert_eq!(revisions.len(), 3);
    d.unwrap();
    e.unwrap();
    p.unwrap();
    q.unwrap();
    let found = f.control.get_function(&f.account, name, Version::Latest).await.unwrap();
    assert!(revisions.contains(&found.version.key.revision));
    assert_eq!(found.tags.keys().collect::<Vec<_>>(), ["team", "x", "y"]);

    // With a revision named, exactly one of many wins.
    let revision = Some(found.version.key.revision);
    let guarded = |i| {
        f.control.update_settings(
            &f.account,
            name,
            UpdateSettings { if_revision: revision, ..memory(i) },
        )
    };
    let (a, b, c) = tokio::join!(guarded(200), guarded(201), guarded(202));
    let won = [&a, &b, &c].into_iter().filter(|end| end.is_ok()).count();
    assert_eq!(won, 1, "{a:?} {b:?} {c:?}");

    let creates =
        ["1", "2", "3"].map(|text| f.control.create_function(&f.account, create("g", text)));
    let [a, b, c] = creates;
    let (a, b, c) = tokio::join!(a, b, c);
    let won: Vec<_> = [a, b, c].into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    let found = f.control.get_function(&f.account, &won[0].key.function, Version::Latest).await;
    assert_eq!(found.unwrap().version, won[0]);
}

#[tokio::test]
async fn tags_are_bounded_and_change_no_revision() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name = &made.key.function;
    let many = |n: usize| (0..n).map(|i| (format!("k{i}"), "v".to_owned())).collect();
    f.control.tag(&f.account, name, many(49)).await.unwrap();
    let refused = f.control.tag(&f.account, name, many(51)).await;
    assert!(matches!(refused, Err(ControlError::Invalid(_))), "{refused:?}");
    let keys = (1..49).map(|i| format!("k{i}")).chain(["absent".to_owned()]).collect();
    f.control.untag(&f.account, name, keys).await.unwrap();
    let found = f.control.get_function(&f.account, name, Version::Latest).await.unwrap();
    assert_eq!(found.tags.keys().collect::<Vec<_>>(), ["k0", "team"]);
    assert_eq!(found.version, made);
}

#[tokio::test]
async fn the_code_quota_counts_all_versions() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "1")).await.unwrap();
    let name = made.key.function.clone();
    publish(&f, &name).await;
    let one = made.code.zip_bytes + made.code.image_bytes;
    let usage = f.control.account_usage(&f.account).await.unwrap();
    assert_eq!((usage.functions, usage.code_bytes), (1, 2 * made.code.zip_bytes));

    let f = f.restart_with(|control| control.with_account_code_bytes_max(3 * one));
    f.control.create_function(&f.account, create("g", "1")).await.unwrap();
    let full = f.control.create_function(&f.account, create("h", "1")).await;
    assert!(matches!(full, Err(ControlError::CodeTooLarge(_))), "{full:?}");
    f.control.delete_function(&f.account, &name, Some(Version::Published(1))).await.unwrap();
    f.control.create_function(&f.account, create("h", "1")).await.unwrap();
}

#[tokio::test]
async fn code_that_was_replaced_counts_until_it_is_swept() {
    let f = Fixture::new();
    let made = f.control.create_function(&f.account, create("f", "0")).await.unwrap();
    let name = made.key.function.clone();
    let one = made.code.zip_bytes + made.code.image_bytes;
    let f = f.restart_with(|control| control.with_account_code_bytes_max(4 * one));
    let mut refused = 0;
    for text in 1..10 {
        let update = update_code(&text.to_string());
        match f.control.update_code(&f.account, &name, update).await {
            Ok(_) => {}
            Err(ControlError::CodeTooLarge(text)) if text.contains("until it is swept") => {
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((f.packages().await.len(), refused), (4, 6), "four packages fit");
    assert_eq!(f.control.sweep().await.unwrap().packages, 3);
    f.control.update_code(&f.account, &name, update_code("again")).await.unwrap();
}
