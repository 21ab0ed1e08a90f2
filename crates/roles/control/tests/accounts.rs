//! Accounts and access keys.

mod fixture;

use fixture::Fixture;
use hearth_services::control::{Accounts, ControlError};
use hearth_services::keys::{self, AccessKeyRecord};
use std::collections::BTreeSet;

async fn key_ids(f: &Fixture) -> BTreeSet<String> {
    let (entries, _) = f.store.list(keys::ACCESS_KEYS, None, 100).await.unwrap();
    let id = |value: &[u8]| keys::decode::<AccessKeyRecord>(value).unwrap().id.0;
    entries.into_iter().map(|(_, found)| id(&found.value)).collect()
}

#[tokio::test]
async fn the_first_start_makes_one_account_and_no_other_does() {
    let f = Fixture::new();
    let (a, b) = tokio::join!(f.control.ensure_default(), f.control.ensure_default());
    let made: Vec<_> = [a.unwrap(), b.unwrap()].into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    let (account, key) = &made[0];
    assert_eq!((&*account.name, &key.account), ("default", &account.id));

    let f = f.restart();
    assert!(f.control.ensure_default().await.unwrap().is_none());
    let listed = f.control.list().await.unwrap();
    assert_eq!(listed, [(account.clone(), vec![key.id.0.clone()])]);
    assert_eq!(key_ids(&f).await, BTreeSet::from([key.id.0.clone()]));
}

#[tokio::test]
async fn keys_look_like_awss_and_differ() {
    let f = Fixture::new();
    let mut seen = BTreeSet::new();
    for i in 0..20 {
        let (account, key) = f.control.create(format!("account {i}")).await.unwrap();
        assert!(key.id.0.len() == 20 && key.id.0.starts_with("AKIA"), "{}", key.id);
        let base32 = |b: u8| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b);
        assert!(key.id.0.bytes().all(base32), "{}", key.id);
        assert_eq!(key.secret.expose().len(), 40);
        for text in [account.id.to_string(), key.id.0, key.secret.expose().to_owned()] {
            assert!(seen.insert(text));
        }
    }
    for bad in [String::new(), "x".repeat(129), "a\nb".to_owned()] {
        assert!(matches!(f.control.create(bad).await, Err(ControlError::Invalid(_))));
    }
}

#[tokio::test]
async fn a_rotation_leaves_exactly_one_key() {
    let f = Fixture::new();
    let (account, old) = f.control.create("a".to_owned()).await.unwrap();
    let (_, neighbours) = f.control.create("b".to_owned()).await.unwrap();
    let rotate = || f.control.rotate_key(&account.id);
    let (a, b, c) = tokio::join!(rotate(), rotate(), rotate());
    let made: BTreeSet<String> = [a, b, c].into_iter().map(|key| key.unwrap().id.0).collect();
    assert_eq!(made.len(), 3);
    let mut left = key_ids(&f).await;
    assert!(left.remove(&neighbours.id.0), "another account's key stays");
    assert_eq!(left.len(), 1);
    assert!(left.is_subset(&made) && !left.contains(&old.id.0));

    let unknown = f.control.rotate_key(&"000000000000".parse().unwrap()).await;
    assert!(matches!(unknown, Err(ControlError::Invalid(_))), "{unknown:?}");
}
