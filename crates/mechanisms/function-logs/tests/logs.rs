//! The log store as the worker and the front end use it.

use hearth_function_logs::{KEPT, LogStore, SEGMENT_BYTES_MAX, SEGMENTS_MAX};
use hearth_services::logs::{LOG_READ_BYTES_MAX, LogReader};
use hearth_types::{AccountId, FunctionName};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn account(n: u64) -> AccountId {
    format!("{n:012}").parse().unwrap()
}

fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

async fn read_all(store: &LogStore, account: &AccountId, function: &FunctionName) -> String {
    let (mut text, mut from) = (String::new(), 0);
    loop {
        let chunk = store.read(account, function, from).await.unwrap();
        if chunk.next == from || chunk.text.is_empty() {
            return text;
        }
        assert!(chunk.text.len() <= LOG_READ_BYTES_MAX);
        text += &chunk.text;
        from = chunk.next;
    }
}

#[tokio::test]
async fn a_reader_sees_what_was_appended_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path()).unwrap();
    let (account, f) = (account(1), function("f"));
    assert_eq!(read_all(&store, &account, &f).await, "", "never logged");
    let writer = store.writer(&account, &f);
    let mut expected = String::new();
    for i in 0..1000 {
        let line = format!("line {i}\n");
        writer.append(line.as_bytes());
        expected += &line;
    }
    assert_eq!(read_all(&store, &account, &f).await, expected);
}

#[tokio::test]
async fn logs_survive_a_restart_and_positions_stay_valid() {
    let dir = tempfile::tempdir().unwrap();
    let (account, f) = (account(1), function("f"));
    let store = LogStore::open(dir.path()).unwrap();
    store.writer(&account, &f).append(b"before\n");
    let next = store.read(&account, &f, 0).await.unwrap().next;
    store.writer(&account, &f).append(b"last words\n");
    drop(store);
    let store = LogStore::open(dir.path()).unwrap();
    store.writer(&account, &f).append(b"after\n");
    assert_eq!(store.read(&account, &f, next).await.unwrap().text, "last words\nafter\n");
}

#[tokio::test]
async fn accounts_and_functions_have_logs_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path()).unwrap();
    for (a, f) in [(1, "f"), (1, "g"), (2, "f")] {
        store.writer(&account(a), &function(f)).append(format!("{a} {f}\n").as_bytes());
    }
    for (a, f) in [(1, "f"), (1, "g"), (2, "f")] {
        assert_eq!(read_all(&store, &account(a), &function(f)).await, format!("{a} {f}\n"));
    }
    assert_eq!(read_all(&store, &account(2), &function("g")).await, "");
}

#[tokio::test]
async fn a_log_is_bounded_and_says_what_it_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path()).unwrap();
    let (account, f) = (account(1), function("f"));
    let writer = store.writer(&account, &f);
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    let lines = 3 * SEGMENT_BYTES_MAX as usize * SEGMENTS_MAX / line.len();
    // Faster than any disk: some of it is dropped, none of it waited for.
    for _ in 0..lines {
        writer.append(&line);
    }
    let chunk = store.read(&account, &f, 0).await.unwrap();
    assert!(chunk.text.ends_with('\n'));
    let on_disk: u64 = std::fs::read_dir(dir.path().join(account.as_str()).join("f"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(on_disk <= SEGMENT_BYTES_MAX * SEGMENTS_MAX as u64);

    writer.append(b"still works\n");
    let text = read_all(&store, &account, &f).await;
    assert!(text.ends_with("still works\n"));
    let kept = text.lines().filter(|l| l.len() == 1023).count();
    let odd: Vec<&str> = text.lines().filter(|l| l.len() != 1023).collect();
    assert!(kept > 0);
    for line in &odd[..odd.len() - 1] {
        assert!(line.ends_with("bytes of log dropped"), "{line:?}");
    }
}

/// Makes what is on disk of a log look as if it was written `age` ago.
fn set_age(dir: &Path, account: &AccountId, function: &FunctionName, age: Duration) {
    for segment in std::fs::read_dir(dir.join(account.as_str()).join(function.as_str())).unwrap() {
        let file = std::fs::File::open(segment.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

#[tokio::test]
async fn logs_that_nobody_writes_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path()).unwrap();
    let (account, old, young) = (account(1), function("old"), function("young"));
    std::fs::write(dir.path().join("not-ours"), b"").unwrap();
    let writer = store.writer(&account, &old);
    writer.append(b"old\n");
    store.writer(&account, &young).append(b"young\n");
    let position = store.read(&account, &old, 0).await.unwrap().next;
    assert_eq!(read_all(&store, &account, &young).await, "young\n");
    set_age(dir.path(), &account, &young, KEPT / 2);
    set_age(dir.path(), &account, &old, KEPT + Duration::from_secs(60));
    assert_eq!(store.prune().unwrap(), 1);
    assert_eq!(read_all(&store, &account, &old).await, "");
    assert_eq!(read_all(&store, &account, &young).await, "young\n");
    assert!(!dir.path().join(account.as_str()).join("old").exists());

    // Whoever writes to it again, or follows it, finds a new one.
    writer.append(b"x\n");
    assert_eq!(store.read(&account, &old, position).await.unwrap().text, "x\n");
    assert_eq!(store.prune().unwrap(), 0);
    assert_eq!(read_all(&store, &account, &old).await, "x\n");
}

#[tokio::test]
async fn a_write_that_fails_is_told_once_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path()).unwrap();
    let (account, f) = (account(1), function("f"));
    // A file where the account's directory would be fails every write.
    let obstacle = dir.path().join(account.as_str());
    std::fs::write(&obstacle, b"").unwrap();
    let writer = store.writer(&account, &f);
    writer.append(b"lost\n");
    assert!(store.read(&account, &f, 0).await.is_err());
    std::fs::remove_file(&obstacle).unwrap();
    writer.append(b"");
    assert_eq!(read_all(&store, &account, &f).await, "[hearth] 5 bytes of log dropped\n");
}
