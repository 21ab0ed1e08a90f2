//! States that stand for entries.

use crate::support::{Fate, FaultyStore, append, lead, read, reader, texts};
use bytes::Bytes;
use hearth_journal::{JournalError, STATE_BYTES_MAX};
use hearth_services::metastore::VALUE_BYTES_MAX;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_state_stands_for_what_is_gone() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    let mut follower = reader(&store);
    append(&writer, "a").await;
    assert_eq!(read(&mut follower, 1).await, ["a"]);
    append(&writer, "b").await;
    append(&writer, "c").await;
    writer.checkpoint(2, &Bytes::from("a+b")).await.unwrap();
    assert_eq!(store.keys("journal/00007/entry/").await.len(), 1);
    assert_eq!(read(&mut reader(&store), 2).await, ["[a+b]", "c"]);
    // It watched, or listed late: both are right.
    let followed = read(&mut follower, 2).await;
    assert!(followed == ["b", "c"] || followed == ["[a+b]", "c"], "{followed:?}");
    assert_eq!(append(&writer, "d").await, 4);
    assert_eq!(read(&mut follower, 1).await, ["d"]);

    let (all, next) = lead(&store).await;
    assert_eq!(texts(&all), ["[a+b]", "c", "d"]);
    next.checkpoint(4, &Bytes::from("all")).await.unwrap();
    assert!(store.keys("journal/00007/entry/").await.is_empty());
    assert_eq!(texts(&lead(&store).await.0), ["[all]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_follower_has_read_is_part_of_its_backlog_once_it_leads() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    let mut follower = reader(&store);
    for record in ["aaaa", "bbb", "cc"] {
        append(&writer, record).await;
    }
    assert_eq!(read(&mut follower, 3).await, ["aaaa", "bbb", "cc"]);
    writer.checkpoint(1, &Bytes::from("a")).await.unwrap();
    append(&writer, "d").await;
    // With it comes that the first is gone.
    assert_eq!(read(&mut follower, 1).await, ["d"]);
    append(&writer, "e").await;
    let (unread, next) = follower.lead("a test").await.unwrap();
    assert_eq!(texts(&unread), ["e"]);
    assert_eq!(next.backlog_bytes(), "bbbccde".len());
    next.checkpoint(5, &Bytes::from("all")).await.unwrap();
    assert_eq!(next.backlog_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_rests_has_no_watch_open_and_reads_on_later() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    let mut follower = reader(&store);
    append(&writer, "a").await;
    assert_eq!(read(&mut follower, 1).await, ["a"]);
    append(&writer, "b").await;
    assert_eq!(read(&mut follower, 1).await, ["b"]);
    assert_eq!(store.open_watches(), 1);
    follower.rest();
    assert_eq!(store.open_watches(), 0);
    append(&writer, "c").await;
    append(&writer, "d").await;
    assert_eq!(read(&mut follower, 2).await, ["c", "d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_many_parts_and_one_of_none() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    append(&writer, "a").await;
    let large = Bytes::from("0123456789".repeat(VALUE_BYTES_MAX * 3 / 10 + 1));
    writer.checkpoint(1, &large).await.unwrap();
    assert_eq!(store.keys("journal/00007/state/").await.len(), 4);
    assert_eq!(texts(&lead(&store).await.0), [format!("[{}]", String::from_utf8_lossy(&large))]);

    let (_, writer) = lead(&store).await;
    append(&writer, "b").await;
    writer.checkpoint(2, &Bytes::new()).await.unwrap();
    assert!(store.keys("journal/00007/state/").await.is_empty());
    assert_eq!(texts(&lead(&store).await.0), ["[]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_at_once_do_not_mix() {
    const AT_ONCE: u64 = 8;
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    for number in 1..=AT_ONCE {
        append(&writer, &number.to_string()).await;
    }
    let writer = Arc::new(writer);
    let checkpoint = |upto: u64| {
        let writer = Arc::clone(&writer);
        let state = Bytes::from(upto.to_string().repeat(VALUE_BYTES_MAX + 1));
        tokio::spawn(async move { writer.checkpoint(upto, &state).await })
    };
    for written in (1..=AT_ONCE).map(checkpoint).collect::<Vec<_>>() {
        written.await.unwrap().unwrap();
    }
    assert_eq!(writer.backlog_bytes(), 0);
    let [state] = &texts(&lead(&store).await.0)[..] else { panic!("one state") };
    assert_eq!(*state, format!("[{}]", "8".repeat(VALUE_BYTES_MAX + 1)));
    assert_eq!(store.keys("journal/00007/state/").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_entries_go() {
    const ENTRIES: u64 = 300;
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    for number in 1..=ENTRIES {
        assert_eq!(append(&writer, &number.to_string()).await, number);
    }
    writer.checkpoint(ENTRIES - 1, &Bytes::from("most")).await.unwrap();
    assert_eq!(store.keys("journal/00007/entry/").await.len(), 1);
    assert_eq!(texts(&lead(&store).await.0), ["[most]", "300"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    append(&writer, "a").await;
    let early = writer.checkpoint(2, &Bytes::from("b")).await;
    assert!(matches!(early, Err(JournalError::NoSuchEntry(2))), "{early:?}");
    let large = writer.checkpoint(1, &Bytes::from(vec![0; STATE_BYTES_MAX + 1])).await;
    assert!(matches!(large, Err(JournalError::TooLarge(_))), "{large:?}");
    // An older one does not take the place of a newer one.
    append(&writer, "b").await;
    writer.checkpoint(2, &Bytes::from("a+b")).await.unwrap();
    writer.checkpoint(1, &Bytes::from("a")).await.unwrap();
    assert_eq!(texts(&lead(&store).await.0), ["[a+b]"]);
}

/// Whatever transaction of a checkpoint is the last that its writer lives to see, nothing
/// is lost, and the next checkpoint leaves no more than there should be.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_ends_anywhere_loses_nothing() {
    const ENTRIES: u64 = 130;
    let large = Bytes::from("s".repeat(VALUE_BYTES_MAX + 1));
    for steps in 0..8 {
        for end in [Fate::Fails, Fate::LostAfter] {
            let store = FaultyStore::new();
            let (_, writer) = lead(&store).await;
            for number in 1..=ENTRIES {
                append(&writer, &number.to_string()).await;
            }
            store.next([Fate::Well].repeat(steps));
            store.next([end]);
            let is_cut = writer.checkpoint(ENTRIES - 5, &large).await.is_err();
            assert_eq!(is_cut, steps < 5, "two parts, a name, two lots of entries");
            store.mend();
            let (all, next) = lead(&store).await;
            let all = texts(&all);
            assert_eq!(all.last().unwrap(), "130");
            match all[0].starts_with('[') {
                true => assert_eq!(all.len(), 6),
                false => assert_eq!(all.len() as u64, ENTRIES),
            }
            next.checkpoint(ENTRIES, &Bytes::from("all")).await.unwrap();
            assert_eq!(store.keys("journal/").await.len(), 3, "epoch, checkpoint, one part");
            assert_eq!(texts(&lead(&store).await.0), ["[all]"]);
        }
    }
}
