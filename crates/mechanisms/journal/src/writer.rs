//! Writing: one task, which commits whatever came while it committed what came before.
//!
//! ```text
//!  append ─► queue ─► group ─► transaction ──► committed ─────────────────► answered
//!                                  ▲     │     conflict ─► our entry? ─yes─┘   no: deposed
//!                                  └─────┴──── failed, or nobody knows
//!                                              out of patience ─► not written, or unknown
//! ```
//!
//! A group goes to the entry that is next, which must not be there. So it can be tried
//! again until its fate is known: if the entry is there and of this epoch, it is the group.

use crate::backlog::{BACKLOG_BYTES_MAX, Backlog};
use crate::checkpoint::{Checkpoint, Checkpointer};
use crate::entry::{self, GROUP_BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX};
use crate::epoch::Term;
use crate::error::{AppendError, JournalError};
use crate::keys::Keys;
use crate::{Epoch, Seq};
use bytes::Bytes;
use hearth_services::metastore::{MetaStore, MetaStoreError, TxnOutcome};
use hearth_types::Partition;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Records that wait to be written; who brings more waits.
const QUEUE_MAX: usize = 2 * RECORDS_MAX;
/// How long a group is tried. A store's own patience is spent each time (etcd's: 15 s), and
/// what was lost is to be looked for at least once more.
const PATIENCE: Duration = Duration::from_secs(45);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// One epoch's writer.
pub struct Writer {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    store: Arc<dyn MetaStore>,
    partition: Partition,
    term: Term,
    /// The last entry that is written.
    last: AtomicU64,
    backlog: Mutex<Backlog>,
    /// One is written at a time.
    checkpointing: tokio::sync::Mutex<()>,
}

/// A record, and who waits for it.
struct Order {
    record: Bytes,
    done: oneshot::Sender<Result<Seq, AppendError>>,
}

impl Writer {
    /// `backlog` is what no checkpoint stands for.
    pub(crate) fn start(
        store: Arc<dyn MetaStore>,
        partition: Partition,
        term: Term,
        last: Seq,
        backlog: Backlog,
    ) -> Self {
        let shared = Arc::new(Shared {
            store,
            partition,
            term,
            last: last.into(),
            backlog: Mutex::new(backlog),
            checkpointing: tokio::sync::Mutex::default(),
        });
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let task = hearth_tasks::spawn("journal", write(Arc::clone(&shared), queue));
        Self { orders, shared, task }
    }

    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.shared.term.epoch
    }

    /// Whether no other has begun, by the store.
    pub async fn is_current(&self) -> Result<bool, JournalError> {
        let Shared { store, partition, term, .. } = &*self.shared;
        Ok(Term::now(&**store, *partition).await? == term.epoch)
    }

    /// The last entry that is written.
    pub fn last(&self) -> Seq {
        self.shared.last.load(Ordering::Acquire)
    }

    /// Bytes of records that no checkpoint stands for. At
    /// [`BACKLOG_BYTES_MAX`] nothing is appended any more.
    pub fn backlog_bytes(&self) -> usize {
        self.shared.backlog.lock().bytes()
    }

    /// Writes a record; durable when this returns its entry. Records are written in the
    /// order in which appends were first polled. If the call is dropped, the record may be
    /// written.
    pub async fn append(&self, record: Bytes) -> Result<Seq, AppendError> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge(record.len()));
        }
        if self.backlog_bytes() >= BACKLOG_BYTES_MAX {
            return Err(AppendError::Full);
        }
        let (done, answer) = oneshot::channel();
        self.orders.send(Order { record, done }).await.map_err(|_| AppendError::Ended)?;
        answer.await.map_err(|_| AppendError::Ended)?
    }

    /// Has `state` stand for all entries up to `upto`, which go.
    pub async fn checkpoint(&self, upto: Seq, state: &Bytes) -> Result<(), JournalError> {
        if upto > self.last() {
            return Err(JournalError::NoSuchEntry(upto));
        }
        let Shared { store, partition, term, .. } = &*self.shared;
        let _alone = self.shared.checkpointing.lock().await;
        let checkpointer = Checkpointer { store: &**store, partition: *partition, term };
        checkpointer.write(upto, state).await?;
        self.shared.backlog.lock().release(upto);
        Ok(())
    }

    /// Ends it, once what it took is written.
    pub async fn close(self) {
        let Self { orders, task, .. } = self;
        drop(orders);
        // Its panic has been logged.
        let _panicked = task.await;
    }
}

async fn write(shared: Arc<Shared>, mut queue: mpsc::Receiver<Order>) {
    // Why nothing is written any more.
    let mut over: Option<AppendError> = None;
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
            Some(why) => Err(why.clone()),
            None => shared.commit(&records).await,
        };
        match &outcome {
            // Those after it were not written for sure.
            Err(AppendError::Deposed | AppendError::Untold) => over = Some(AppendError::Deposed),
            Err(why @ AppendError::Unknown(_)) => over = Some(why.clone()),
            _ => {}
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
    /// Deposed, and what was tried before is nowhere to be seen.
    Gone,
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
                    self.backlog.lock().push(seq, group.len());
                    self.last.store(seq, Ordering::Release);
                    return Ok(seq);
                }
                Tried::Deposed => return Err(AppendError::Deposed),
                Tried::Gone if is_lost => return Err(self.after_loss(seq).await),
                Tried::Gone => return Err(AppendError::Deposed),
                Tried::Failed(why) => why,
                Tried::Lost(why) => {
                    is_lost = true;
                    why
                }
            };
            if began.elapsed() >= PATIENCE {
                let why = Arc::new(why);
                return Err(match is_lost {
                    true => AppendError::Unknown(why),
                    false => AppendError::NotWritten(why),
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
            Ok(TxnOutcome::Conflict) => self.after_conflict(seq, &key, group).await,
            Err(why @ MetaStoreError::OutcomeUnknown(_)) => Tried::Lost(why),
            Err(why) => Tried::Failed(why),
        }
    }

    /// An earlier try of the group happened, or another epoch began, or first the one and
    /// then the other.
    async fn after_conflict(&self, seq: Seq, key: &str, group: &Bytes) -> Tried {
        match self.store.get(key).await {
            Err(why) => Tried::Lost(why),
            Ok(None) => Tried::Gone,
            Ok(Some(found)) => match entry::decode(key, seq, &found.value) {
                // Nobody else writes in this epoch.
                Ok(entry) if entry.epoch == self.term.epoch && found.value == *group => {
                    Tried::Committed
                }
                // Of an epoch after this one, or of what none of ours wrote, or a group that
                // was given up as not written: then what was told of it is wrong, and the next
                // leader knows better.
                Ok(_) | Err(_) => Tried::Deposed,
            },
        }
    }

    /// A try was lost, another epoch has begun, and there is no such entry: there never was
    /// and never will be, unless a state stands for it.
    async fn after_loss(&self, seq: Seq) -> AppendError {
        match Checkpoint::upto(&*self.store, self.partition).await {
            Ok(upto) if upto < seq => AppendError::Deposed,
            _ => AppendError::Untold,
        }
    }
}
