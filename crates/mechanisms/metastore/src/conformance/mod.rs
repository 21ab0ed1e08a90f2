//! What every engine of the `MetaStore` contract must do, as tests.
//!
//! An engine's own tests call [`conformance!`](crate::conformance!) with a
//! function that makes an empty store; each case then is a test of its own.

mod bounds;
mod compaction;
mod concurrency;
mod leases;
mod listing;
mod model;
mod transactions;
mod watching;

pub use bounds::*;
pub use compaction::*;
pub use concurrency::*;
pub use leases::*;
pub use listing::*;
pub use model::*;
pub use transactions::*;
pub use watching::*;

use async_trait::async_trait;
use hearth_services::metastore::{MetaStore, Revision, Txn, TxnOutcome};

/// A store under test, and whatever must live as long as it does.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The store, empty at first.
    fn store(&self) -> &dyn MetaStore;
    /// Has the store forget how it came to hold what it holds.
    async fn forget_history(&self);
}

/// Commits `txn`, which must not conflict.
async fn commit(store: &dyn MetaStore, txn: Txn) -> Revision {
    match store.transact(txn).await.expect("the store works") {
        TxnOutcome::Committed(revision) => revision,
        TxnOutcome::Conflict => panic!("an unexpected conflict"),
    }
}

/// Asserts that `txn` conflicts.
async fn assert_conflict(store: &dyn MetaStore, txn: Txn) {
    assert_eq!(store.transact(txn).await.expect("the store works"), TxnOutcome::Conflict);
}

/// The value of `key` as text.
async fn value(store: &dyn MetaStore, key: &str) -> Option<String> {
    let found = store.get(key).await.expect("the store works")?;
    Some(String::from_utf8(found.value.to_vec()).expect("tests store text"))
}

/// Makes a test of every case. `$fixture` is called for each and returns an
/// `impl Fixture`.
#[macro_export]
macro_rules! conformance {
    ($fixture:expr) => {
        $crate::conformance! { @each $fixture;
            puts_and_deletes_are_read_back
            a_transaction_is_all_or_nothing
            conditions_are_exact
            the_last_operation_on_a_key_counts
            what_changes_nothing_is_no_event
            bounds_are_inclusive
            lists_are_in_byte_order
            prefixes_match_bytes_only
            pages_join_without_gap_or_overlap
            long_lists_are_whole
            watches_see_each_transaction_whole_and_in_order
            large_transactions_are_seen_whole
            watches_see_only_their_prefix
            watches_begin_after_their_revision
            a_waiting_watch_wakes
            a_watch_continues_a_list_without_a_gap
            increments_are_never_lost
            one_of_many_creators_wins
            a_silent_lease_ends_with_all_of_its_keys
            a_lease_that_is_kept_lives_on
            a_revoked_lease_is_over
            a_put_rebinds_its_key
            nothing_is_bound_to_a_lease_that_is_over
            a_leader_whose_lease_ended_writes_no_more
        }
        $crate::conformance! { @whole $fixture;
            a_watch_into_forgotten_history_is_told
            a_follower_that_lists_anew_loses_nothing
        }
        #[test]
        fn conformance_agrees_with_a_model() {
            $crate::conformance::agrees_with_a_model($fixture);
        }
    };
    (@each $fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fixture = ($fixture)();
                $crate::conformance::$case($crate::conformance::Fixture::store(&fixture)).await;
            }
        )*
    };
    (@whole $fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case(&($fixture)()).await;
            }
        )*
    };
}
