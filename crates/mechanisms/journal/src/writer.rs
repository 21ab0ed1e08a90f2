//! Writing: one task, which commits whatever came while it committed what came before.
//!
//! ```text
//!  append ─► queue ─► group ─► transaction ──► committed ─────────────────► answered
//!                                 │  ▲        conflict ─► our entry? ─yes─┘   no: deposed
//!                                 │  └── again ◄── failed, or nobody knows
//!                                 └──────────────── out of patience ─► not written, or unknown
//! ```
//!
//! A group goes to the entry that is next, which must not be there. So it can be tried
//! again until its fate is known: if the entry is there and of this epoch, it is the group.

use crate::checkpoint::Checkpointer;
use crate::entry::{self, GROUP_BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX};
use crate::epoch::Term;
use crate::error::{AppendError, JournalError};
use crate::keys::Partition;
use crate::{Epoch, Seq};
use bytes::Bytes;
use hearth_services::metastore::{MetaStore, MetaStoreError, TxnOutcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// Records that wait to be written; who brings more waits.
const QUEUE_MAX: usize = 2 * RECORDS_MAX;
/// How long a group is tried: the store's own patience is spent each time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// One epoch's writer. It ends with the last that holds it, after what it took is written.
pub struct Writer {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn MetaStore>,
    partition: Partition,
    term: Term,
    /// The last entry that is written.
    last: AtomicU64,
}

/// A record, and who waits for it.
struct Order {
    record: Bytes,
    done: oneshot::Sender<Result<Seq, AppendError>>,
}

/// Why a writer writes no more.
#[derive(Clone)]
struct Over(AppendError);

impl Writer {
    pub(crate) fn start(
        store: Arc<dyn MetaStore>,
        partition: Partition,
        term: Term,
        last: Seq,
    ) -> Self {
        let shared = Arc::new(Shared { store, partition, term, last: last.into() });
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let writing = write(Arc::clone(&shared), queue);
        // Its owner is the channel: it ends when nobody can append any more.
        drop(hearth_tasks::spawn("journal", writing));
        Self { orders, shared }
    }

    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.shared.term.epoch
    }

    /// The last entry that is written.
    pub fn last(&self) -> Seq {
        self.shared.last.load(Ordering::Acquire)
    }

    /// Writes a record; durable when this returns its entry. Records are written in the
    /// order in which appends were first polled. If the call is dropped, the record may be
    /// written.
    pub async fn append(&self, record: Bytes) -> Result<Seq, AppendError> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge(record.len()));
        }
        let (done, answer) = oneshot::channel();
        // The task answers whatever it took, and takes until nobody can bring any more.
        let ended = |_| AppendError::Unknown("the journal's task has ended".to_owned());
        self.orders.send(Order { record, done }).await.map_err(|_| ended(()))?;
        answer.await.map_err(|_| ended(()))?
    }

    /// Has `state` stand for all entries up to `upto`, which go.
    pub async fn checkpoint(&self, upto: Seq, state: &Bytes) -> Result<(), JournalError> {
        if upto > self.last() {
            return Err(JournalError::NoSuchEntry(upto));
        }
        let Shared { store, partition, term, .. } = &*self.shared;
        Checkpointer { store: &**store, partition: *partition, term }.write(upto, state).await
    }
}

async fn write(shared: Arc<Shared>, mut queue: mpsc::Receiver<Order>) {
    let mut over: Option<Over> = None;
    let mut left: Option<Order> = None;
    loop {
        let first = match left.take() {
            Some(order) => order,
            None => match queue.recv().await {
                Some(order) => order,
                None => return,
            },
        };
        let group;
        (group, left) = gather(first, &mut queue);
        let (records, waiting): (Vec<_>, Vec<_>) =
            group.into_iter().map(|order| (order.record, order.done)).unzip();
        let outcome = match &over {
            Some(Over(why)) => Err(why.clone()),
            None => shared.commit(&records).await,
        };
        if let Err(why @ (AppendError::Deposed | AppendError::Unknown(_))) = &outcome {
            over.get_or_insert_with(|| Over(why.clone()));
        }
        for done in waiting {
            // Who does not wait any more need not know.
            let _gone = done.send(outcome.clone());
        }
    }
}

/// What can be written together, and the first that cannot.
fn gather(first: Order, queue: &mut mpsc::Receiver<Order>) -> (Vec<Order>, Option<Order>) {
    let mut bytes = first.record.len();
    let mut group = vec![first];
    while group.len() < RECORDS_MAX
        && let Ok(order) = queue.try_recv()
    {
        bytes += order.record.len();
        if bytes > GROUP_BYTES_MAX {
            return (group, Some(order));
        }
        group.push(order);
    }
    (group, None)
}

/// What became of a try.
enum Tried {
    Committed,
    Deposed,
    /// It did not happen this time.
    Failed(MetaStoreError),
    /// It happened, or will, or not.
    Lost(MetaStoreError),
}

impl Shared {
    async fn commit(&self, records: &[Bytes]) -> Result<Seq, AppendError> {
        let seq = self.last.load(Ordering::Acquire) + 1;
        let group = entry::encode(self.term.epoch, records);
        let began = Instant::now();
        let mut is_lost = false;
        loop {
            let why = match self.attempt(seq, &group).await {
                Tried::Committed => {
                    self.last.store(seq, Ordering::Release);
                    return Ok(seq);
                }
                Tried::Deposed => return Err(AppendError::Deposed),
                Tried::Failed(why) => why,
                Tried::Lost(why) => {
                    is_lost = true;
                    why
                }
            };
            if began.elapsed() >= PATIENCE {
                let partition = self.partition;
                let error: &dyn std::error::Error = &why;
                tracing::warn!(%partition, seq, is_lost, error, "the journal cannot be written");
                return Err(match is_lost {
                    true => AppendError::Unknown(why.to_string()),
                    false => AppendError::NotWritten(why.to_string()),
                });
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, seq: Seq, group: &Bytes) -> Tried {
        let key = self.partition.entry(seq);
        let txn = self.term.guard(self.partition).absent(&key).put(&key, group.clone());
        match self.store.transact(txn).await {
            Ok(TxnOutcome::Committed(_)) => Tried::Committed,
            Ok(TxnOutcome::Conflict) => self.after_conflict(seq, &key).await,
            Err(why @ MetaStoreError::OutcomeUnknown(_)) => Tried::Lost(why),
            Err(why) => Tried::Failed(why),
        }
    }

    /// An earlier try of the group happened, or another epoch began, or first the one and
    /// then the other.
    async fn after_conflict(&self, seq: Seq, key: &str) -> Tried {
        match self.store.get(key).await {
            Err(why) => Tried::Lost(why),
            Ok(None) => Tried::Deposed,
            Ok(Some(found)) => match entry::decode(key, seq, &found.value) {
                // Nobody else writes in this epoch, and this one wrote nothing else there.
                Ok(entry) if entry.epoch == self.term.epoch => Tried::Committed,
                // Of an epoch after this one, or of what none of ours wrote.
                Ok(_) | Err(_) => Tried::Deposed,
            },
        }
    }
}
