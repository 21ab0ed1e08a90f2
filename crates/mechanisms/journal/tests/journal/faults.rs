//! A store that fails, or leaves one in the dark.

use crate::support::{Fate, FaultyStore, append, lead, read, reader, texts};
use bytes::Bytes;
use hearth_journal::AppendError;
use hearth_services::metastore::TxnOutcome;
use proptest::prelude::*;
use std::sync::Arc;
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_a_while_is_written_once() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    for fates in [
        &[Fate::Fails, Fate::Fails][..],
        &[Fate::LostBefore],
        &[Fate::LostAfter],
        &[Fate::LostAfter, Fate::LostBefore, Fate::Fails],
        &[Fate::Fails, Fate::LostAfter],
    ] {
        store.next(fates.iter().copied());
        append(&writer, "a").await;
    }
    append(&writer, "end").await;
    assert_eq!(read(&mut reader(&store), 6).await, ["a", "a", "a", "a", "a", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_on_and_on_is_told_and_the_writer_goes_on_after_it() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    store.always(Fate::Fails);
    let failed = writer.append(Bytes::from("a")).await;
    assert!(matches!(failed, Err(AppendError::NotWritten(_))), "{failed:?}");
    store.mend();
    append(&writer, "b").await;
    assert_eq!(texts(&lead(&store).await.0), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_does_not_know_writes_no_more_and_the_next_epoch_knows() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    store.next([Fate::LostAfter]);
    store.always(Fate::Fails);
    let lost = writer.append(Bytes::from("a")).await;
    assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
    store.mend();
    let next = writer.append(Bytes::from("b")).await;
    assert!(matches!(next, Err(AppendError::Unknown(_))), "or it would write over it: {next:?}");
    assert_eq!(texts(&lead(&store).await.0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_denied_and_happened_is_not_taken_for_what_comes_after_it() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    store.next([Fate::Denied]);
    store.always(Fate::Fails);
    let denied = writer.append(Bytes::from("a")).await;
    assert!(matches!(denied, Err(AppendError::NotWritten(_))), "{denied:?}");
    store.mend();
    let next = writer.append(Bytes::from("b")).await;
    assert!(matches!(next, Err(AppendError::Deposed)), "{next:?}");
    assert_eq!(texts(&lead(&store).await.0), ["a"]);
}

/// A writer that appended, and does not know yet.
async fn held(store: &Arc<FaultyStore>) -> JoinHandle<Result<u64, AppendError>> {
    let (_, writer) = lead(store).await;
    store.next([Fate::HeldAfter]);
    let before = store.transactions();
    let appending = tokio::spawn(async move { writer.append(Bytes::from("a")).await });
    while store.transactions() == before || store.keys("journal/00007/entry/").await.is_empty() {
        tokio::task::yield_now().await;
    }
    appending
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_came_before_the_next_epoch_is_acknowledged() {
    let store = FaultyStore::new();
    let appending = held(&store).await;
    // Before its writer looks what became of it, another epoch begins.
    let (before, second) = lead(&store).await;
    assert_eq!(texts(&before), ["a"]);
    store.release();
    assert!(matches!(appending.await.unwrap(), Ok(1)));
    append(&second, "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_record_that_a_state_may_stand_for_nobody_says_that_it_is_not_there() {
    let store = FaultyStore::new();
    let appending = held(&store).await;
    let (_, second) = lead(&store).await;
    second.checkpoint(1, &Bytes::from("a")).await.unwrap();
    store.release();
    let untold = appending.await.unwrap();
    assert!(matches!(untold, Err(AppendError::Untold)), "{untold:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_settles_late_changes_nothing() {
    let store = FaultyStore::new();
    let (_, writer) = lead(&store).await;
    store.next([Fate::Late]);
    append(&writer, "a").await;
    append(&writer, "b").await;
    assert_eq!(store.settle().await, [TxnOutcome::Conflict]);

    // A part of a state, its name, and what is removed behind it.
    for steps in 0..4 {
        let upto = append(&writer, "c").await;
        let (lost, state) = (Bytes::from("lost"), Bytes::from(format!("state {steps}")));
        store.next([Fate::Well].repeat(steps));
        store.next([Fate::Late]);
        assert!(writer.checkpoint(upto, &lost).await.is_err() || steps > 3, "{steps}");
        store.mend();
        let upto = append(&writer, "d").await;
        writer.checkpoint(upto, &state).await.unwrap();
        store.settle().await;
        let all = read(&mut reader(&store), 1).await;
        assert_eq!(all, [format!("[state {steps}]")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_began_unnoticed_is_ours() {
    let store = FaultyStore::new();
    store.next([Fate::LostAfter]);
    let (_, writer) = lead(&store).await;
    append(&writer, "a").await;
    store.next([Fate::LostBefore]);
    assert!(reader(&store).lead("unlucky").await.is_err());
    append(&writer, "b").await;
    assert_eq!(texts(&lead(&store).await.0), ["a", "b"]);
}

#[derive(Clone, Debug)]
enum Step {
    Append(Fate),
    NextEpoch,
    Checkpoint,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        4 => Just(Fate::Well),
        1 => Just(Fate::Fails),
        1 => Just(Fate::LostBefore),
        1 => Just(Fate::LostAfter),
    ];
    prop_oneof![
        8 => fate.prop_map(Step::Append),
        1 => Just(Step::NextEpoch),
        1 => Just(Step::Checkpoint),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Several who think that they write, one after the other or still; the state of a
    /// checkpoint is all records so far.
    #[test]
    fn acknowledged_records_are_there_once_and_in_order(
        steps in prop::collection::vec((step(), 0usize..3), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = FaultyStore::new();
            let mut writers = vec![lead(&store).await.1];
            let mut acknowledged: Vec<String> = vec![];
            for (number, (step, whose)) in steps.into_iter().enumerate() {
                let newest = writers.len() - 1;
                let whose = newest.saturating_sub(whose);
                match step {
                    Step::Append(fate) => {
                        store.next([fate]);
                        let record = format!("{number},");
                        match writers[whose].append(Bytes::from(record.clone())).await {
                            Ok(_) => {
                                prop_assert_eq!(whose, newest, "a deposed one writes");
                                acknowledged.push(record);
                            }
                            Err(AppendError::Deposed | AppendError::Untold) => {
                                prop_assert!(whose < newest);
                            }
                            Err(error) => panic!("{error:?}"),
                        }
                        // A deposed one may not have come to the fate.
                        store.mend();
                    }
                    Step::NextEpoch => writers.push(lead(&store).await.1),
                    Step::Checkpoint => {
                        let upto = writers[whose].last();
                        let state = Bytes::from(acknowledged.concat());
                        let written = writers[whose].checkpoint(upto, &state).await;
                        prop_assert!(written.is_ok() || whose < newest);
                    }
                }
            }
            let all = texts(&lead(&store).await.0).concat();
            prop_assert_eq!(all.replace(['[', ']'], ""), acknowledged.concat());
            Ok(())
        })?;
    }
}
