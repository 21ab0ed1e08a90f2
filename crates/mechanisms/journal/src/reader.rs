//! Reading: the state of the last checkpoint, the entries after it, and then what comes.

use crate::Seq;
use crate::backlog::Backlog;
use crate::checkpoint::Checkpoint;
use crate::entry::{self, Entry};
use crate::epoch::Term;
use crate::error::JournalError;
use crate::keys::Keys;
use crate::writer::Writer;
use bytes::Bytes;
use hearth_services::metastore::{MetaStore, MetaStoreError, Revision, Watch};
use hearth_types::Partition;
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries listed at once: some 8 MiB if all are as large as can be.
const PAGE: usize = 16;

/// What a journal says, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Forget all that was said before: this is the state after the entry `upto`. It
    /// comes when the entries that would be next are gone.
    State {
        /// The last entry that it stands for.
        upto: Seq,
        /// What the writer gave.
        state: Bytes,
    },
    /// What happened next.
    Entry(Entry),
}

/// Follows a partition's journal.
pub struct Reader {
    store: Arc<dyn MetaStore>,
    partition: Partition,
    /// The entry that comes next.
    next: Seq,
    ready: VecDeque<Item>,
    source: Source,
    /// What it read that no checkpoint stands for, as far as it knows.
    backlog: Backlog,
}

/// Where entries come from.
enum Source {
    /// Pages of a list.
    Lists,
    /// What came after the last page.
    Watch(Box<dyn Watch>),
}

impl Reader {
    /// From the beginning, or what stands for it.
    pub fn new(store: Arc<dyn MetaStore>, partition: Partition) -> Self {
        let (ready, backlog) = (VecDeque::new(), Backlog::default());
        Self { store, partition, next: 1, ready, source: Source::Lists, backlog }
    }

    /// Reads no further for now. A watch that is open and that nobody reads would fill what it
    /// shares with others on its connection, until none of them gets anything.
    pub fn rest(&mut self) {
        self.source = Source::Lists;
    }

    /// What comes next; waits for it. After an error it goes on where it was.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<Item, JournalError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            match self.fetch().await {
                Ok(()) => {}
                // Lists find out what was missed, and so they do after any other error.
                Err(JournalError::Store(MetaStoreError::Compacted { .. })) => {
                    self.source = Source::Lists;
                }
                Err(error) => {
                    self.source = Source::Lists;
                    return Err(error);
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<(), JournalError> {
        match &mut self.source {
            Source::Lists => {
                if let Some(since) = self.list().await? {
                    let entries = self.partition.entries();
                    self.source = Source::Watch(self.store.watch(&entries, since).await?);
                }
            }
            Source::Watch(watch) => {
                for event in watch.next().await? {
                    match (&event.value, self.partition.seq(&event.key)) {
                        (Some(value), _) => self.take(&event.key, value)?,
                        // One that goes has been read, or a state stands for it.
                        (None, Some(seq)) => self.backlog.release(seq),
                        (None, None) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Becomes the writer: begins the next epoch, and returns all that was written before
    /// it and not read yet. Nothing else was or will be. `writer` tells people who it is.
    pub async fn lead(mut self, writer: &str) -> Result<(Vec<Item>, Writer), JournalError> {
        let term = Term::begin(&*self.store, self.partition, writer).await?;
        while self.list().await?.is_none() {}
        let last = self.next - 1;
        let items: Vec<Item> = self.ready.into();
        let writer = Writer::start(self.store, self.partition, term, last, self.backlog);
        Ok((items, writer))
    }

    /// Gets ready what the next page lists. If that is the last: since when others may have
    /// come.
    async fn list(&mut self) -> Result<Option<Revision>, JournalError> {
        let (entries, after) = (self.partition.entries(), self.partition.entry(self.next - 1));
        let (listed, revision) = self.store.list(&entries, Some(&after), PAGE).await?;
        let starts_at = listed.first().and_then(|(key, _)| self.partition.seq(key));
        // If there is none, all may have gone.
        if starts_at != Some(self.next) && self.skip().await? {
            return Ok(None);
        }
        let is_last = listed.len() < PAGE;
        for (key, found) in listed {
            self.take(&key, &found.value)?;
        }
        Ok(is_last.then_some(revision))
    }

    /// Goes on from the last checkpoint, if it stands for the entry that is next.
    async fn skip(&mut self) -> Result<bool, JournalError> {
        let found = Checkpoint::of_entry(&*self.store, self.partition, self.next).await?;
        let Some((Checkpoint { upto, .. }, state)) = found else { return Ok(false) };
        self.next = upto + 1;
        // It stands for them too.
        self.ready.clear();
        self.backlog = Backlog::default();
        self.ready.push_back(Item::State { upto, state });
        Ok(true)
    }

    fn take(&mut self, key: &str, value: &Bytes) -> Result<(), JournalError> {
        let damaged = || JournalError::Damaged(key.to_owned());
        let seq = self.partition.seq(key).ok_or_else(damaged)?;
        // Listed and watched both.
        if seq < self.next {
            return Ok(());
        }
        if seq > self.next {
            return Err(damaged());
        }
        let entry = entry::decode(key, seq, value)?;
        self.backlog.push(seq, entry.records.iter().map(|record| record.len()).sum());
        self.ready.push_back(Item::Entry(entry));
        self.next = seq + 1;
        Ok(())
    }
}
