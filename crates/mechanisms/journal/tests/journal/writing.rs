//! What is written is read, once and in order, and by one writer at a time.

use crate::support::{FaultyStore, PARTITION, append, lead, read, reader, texts};
use bytes::Bytes;
use hearth_journal::{AppendError, JournalError, RECORD_BYTES_MAX, Reader};
use hearth_services::metastore::MetaStore;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn followers_read_what_is_written_as_it_is_written() {
    let store = FaultyStore::new();
    let mut early = reader(&store);
    let (before, writer) = lead(&store).await;
    assert!(before.is_empty());
    assert_eq!(append(&writer, "a").await, 1);
    assert_eq!(read(&mut early, 1).await, ["a"]);
    append(&writer, "b").await;
    append(&writer, "c").await;
    assert_eq!(read(&mut early, 2).await, ["b", "c"]);
    assert_eq!(read(&mut reader(&store), 3).await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_writer_has_read_all_and_the_one_before_writes_no_more() {
    let store = FaultyStore::new();
    let (_, first) = lead(&store).await;
    append(&first, "a").await;
    let mut follower = reader(&store);
    assert_eq!(read(&mut follower, 1).await, ["a"]);
    append(&first, "b").await;

    let (missed, second) = follower.lead("a follower").await.unwrap();
    assert_eq!(texts(&missed), ["b"]);
    assert_eq!(second.epoch(), first.epoch() + 1);
    let deposed = first.append(Bytes::from("x")).await;
    assert!(matches!(deposed, Err(AppendError::Deposed)), "{deposed:?}");
    assert_eq!(append(&second, "c").await, 3);
    let deposed = first.append(Bytes::from("y")).await;
    assert!(matches!(deposed, Err(AppendError::Deposed)), "{deposed:?}");
    let refused = first.checkpoint(2, &Bytes::from("theirs")).await;
    assert!(matches!(refused, Err(JournalError::Deposed(2))), "{refused:?}");
    assert_eq!(read(&mut reader(&store), 3).await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_history_is_gone_lists_again() {
    const ENTRIES: usize = 40;
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    for number in 0..ENTRIES {
        append(&writer, &number.to_string()).await;
    }
    let mut slow = reader(&store);
    assert_eq!(read(&mut slow, 1).await, ["0"]);
    store.compact();
    assert_eq!(read(&mut slow, ENTRIES - 1).await.last().unwrap(), "39");
    append(&writer, "end").await;
    assert_eq!(read(&mut slow, 1).await, ["end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_closed_has_written_what_it_took() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    let mut append = Box::pin(writer.append(Bytes::from("a")));
    // Polled once, and dropped.
    std::future::poll_fn(|context| {
        assert!(append.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(append);
    writer.close().await;
    assert_eq!(texts(&lead(&store).await.0), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_begin_an_epoch_each_has_its_own() {
    let store = FaultyStore::new();
    let begin = |_| {
        let reader = reader(&store);
        tokio::spawn(async move { reader.lead("one of many").await })
    };
    let mut epochs = vec![];
    for begun in (0..16).map(begin).collect::<Vec<_>>() {
        match begun.await.unwrap() {
            Ok((_, writer)) => epochs.push(writer.epoch()),
            Err(JournalError::Deposed(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=epochs.len() as u64).collect::<Vec<_>>(), "none twice, no gaps");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_together_is_committed_together() {
    const APPENDS: usize = 5_000;
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    let writer = Arc::new(writer);
    let before = store.transactions();
    let append = |number: usize| {
        let writer = Arc::clone(&writer);
        tokio::spawn(async move { writer.append(Bytes::from(number.to_string())).await })
    };
    let appends: Vec<_> = (0..APPENDS).map(append).collect();
    for appended in appends {
        appended.await.unwrap().unwrap();
    }
    let transactions = store.transactions() - before;
    assert!(transactions * 10 <= APPENDS, "{transactions} transactions");
    let mut all = read(&mut reader(&store), APPENDS).await;
    all.sort_unstable_by_key(|text| text.parse::<usize>().unwrap());
    assert!(all.iter().enumerate().all(|(number, text)| number.to_string() == *text));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_records_are_taken_and_larger_ones_are_not() {
    const RECORDS: usize = 100;
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    let writer = Arc::new(writer);
    let largest = Bytes::from("x".repeat(RECORD_BYTES_MAX));
    let append = |_| {
        let (writer, largest) = (Arc::clone(&writer), largest.clone());
        tokio::spawn(async move { writer.append(largest).await })
    };
    for appended in (0..RECORDS).map(append).collect::<Vec<_>>() {
        appended.await.unwrap().unwrap();
    }
    assert_eq!(read(&mut reader(&store), RECORDS).await.len(), RECORDS);
    let larger = Bytes::from(vec![0; RECORD_BYTES_MAX + 1]);
    let refused = writer.append(larger).await;
    assert!(matches!(refused, Err(AppendError::TooLarge(_))), "{refused:?}");
    assert_eq!(writer.backlog_bytes() / RECORD_BYTES_MAX, RECORDS);
}

#[tokio::test]
async fn what_nobody_wrote_so_is_told_and_not_guessed() {
    use hearth_services::metastore::Txn;
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    append(&writer, "a").await;
    let put = |key: &str, value: &'static [u8]| store.transact(Txn::new().put(key, value));
    let damaged = [
        ("journal/00007/entry/00000000000000000002", &b""[..]),
        ("journal/00007/entry/00000000000000000002", &b"\x02abc"[..]),
        ("journal/00007/entry/00000000000000000002", &b"\x01\x01\xff\xff\xff\xff\x0f"[..]),
        ("journal/00007/entry/00000000000000000009", &b"\x01\x01\x00"[..]),
    ];
    for (key, value) in damaged {
        put(key, value).await.unwrap();
        let mut reader = Reader::new(store.clone(), PARTITION);
        let read = reader.next().await;
        assert!(matches!(&read, Err(JournalError::Damaged(what)) if what == key), "{read:?}");
        // What it has read is not lost.
        assert_eq!(texts(&[reader.next().await.unwrap()]), ["a"]);
        store.transact(Txn::new().delete(key)).await.unwrap();
    }
}
