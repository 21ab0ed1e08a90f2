//! Lists: ordered by bytes, paged, cut exactly at the prefix.

use super::commit;
use hearth_services::metastore::{MetaStore, TXN_OPS_MAX, Txn, VALUE_BYTES_MAX};

async fn keys(
    store: &dyn MetaStore,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let (entries, _) = store.list(prefix, after, limit).await.unwrap();
    entries.into_iter().map(|(key, _)| key).collect()
}

async fn put_all(store: &dyn MetaStore, keys: &[&str]) {
    let txn = keys.iter().fold(Txn::new(), |txn, key| txn.put(*key, "v"));
    commit(store, txn).await;
}

/// Keys come in the order of their bytes, whatever order they were put in.
pub async fn lists_are_in_byte_order(store: &dyn MetaStore) {
    let sorted =
        ["", "$LATEST", "-", "/", "0", "00", "A", "a", "a!", "a/", "a0", "é", "\u{10ffff}"];
    let mut shuffled = sorted;
    shuffled.reverse();
    put_all(store, &shuffled).await;
    assert_eq!(keys(store, "", None, 100).await, sorted);
    let (entries, revision) = store.list("", None, 100).await.unwrap();
    assert!(entries.iter().all(|(_, found)| found.revision == revision));
}

/// A prefix is bytes, not a directory, and does not leak into its neighbours.
pub async fn prefixes_match_bytes_only(store: &dyn MetaStore) {
    put_all(store, &["a", "a.", "a/", "a/b", "a/b/c", "a0", "b", "\u{10ffff}", "\u{10ffff}x"])
        .await;
    assert_eq!(keys(store, "a/", None, 100).await, ["a/", "a/b", "a/b/c"]);
    assert_eq!(keys(store, "a", None, 100).await, ["a", "a.", "a/", "a/b", "a/b/c", "a0"]);
    assert_eq!(keys(store, "a/b", None, 100).await, ["a/b", "a/b/c"]);
    assert_eq!(keys(store, "\u{10ffff}", None, 100).await, ["\u{10ffff}", "\u{10ffff}x"]);
    assert!(keys(store, "aa", None, 100).await.is_empty());
    assert!(keys(store, "z", None, 100).await.is_empty());
}

/// Pages that start after the last key of the one before hold every key once,
/// also when that key is gone or lies outside of the prefix.
pub async fn pages_join_without_gap_or_overlap(store: &dyn MetaStore) {
    let names: Vec<String> = (0..10).map(|i| format!("p/{i}")).collect();
    put_all(store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    put_all(store, &["o", "q"]).await;
    for page in 1..=11 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let keys = keys(store, "p/", after.as_deref(), page).await;
            let is_last = keys.len() < page;
            after = keys.last().cloned();
            found.extend(keys);
            if is_last {
                break;
            }
        }
        assert_eq!(found, names, "in pages of {page}");
    }
    assert!(keys(store, "p/", None, 0).await.is_empty());
    assert_eq!(keys(store, "p/", Some("p/41"), 2).await, ["p/5", "p/6"], "after no key");
    assert_eq!(keys(store, "p/", Some("a"), 1).await, ["p/0"], "after something before");
    assert_eq!(keys(store, "p/", Some("p/"), 1).await, ["p/0"], "after the prefix itself");
    assert!(keys(store, "p/", Some("p/9"), 1).await.is_empty());
    assert!(keys(store, "p/", Some("q"), 1).await.is_empty(), "after something behind");
}

/// A list may be long, and its values large; all of it is as of one revision.
pub async fn long_lists_are_whole(store: &dyn MetaStore) {
    let names: Vec<String> = (0..3 * TXN_OPS_MAX).map(|i| format!("n/{i:04}")).collect();
    for some in names.chunks(TXN_OPS_MAX) {
        put_all(store, &some.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    assert_eq!(keys(store, "n/", None, names.len() + 1).await, names);
    assert_eq!(keys(store, "n/", None, names.len()).await, names);
    assert_eq!(keys(store, "n/", Some("n/0000"), 200).await, names[1..201]);

    const LARGE: usize = 20;
    for i in 0..LARGE {
        commit(store, Txn::new().put(format!("v/{i:02}"), vec![1; VALUE_BYTES_MAX])).await;
    }
    let (entries, _) = store.list("v/", None, 100).await.unwrap();
    assert_eq!(entries.len(), LARGE);
    assert!(entries.iter().all(|(_, found)| found.value.len() == VALUE_BYTES_MAX));
}
