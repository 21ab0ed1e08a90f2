//! The redb file: its tables, its snapshots, and its one way to write.
//!
//! ```text
//! entries   KEY → revision (8 bytes, little-endian) ++ value
//! meta      "revision" → the newest committed revision
//! ```

use bytes::Bytes;
use hearth_services::metastore::{Compare, Event, Op, Revision, Txn, TxnOutcome, Versioned};
use parking_lot::RwLock;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition,
};
use std::collections::BTreeMap;
use std::ops::Bound;

const ENTRIES: TableDefinition<&str, &[u8]> = TableDefinition::new("entries");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const REVISION: &str = "revision";
const REVISION_BYTES: usize = 8;

/// Opens the database anew; called again after a failed commit.
pub(crate) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// One transaction's changes, as watches see them.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) revision: Revision,
    /// One event for each key that changed, in key order.
    pub(crate) events: Vec<Event>,
}

/// Why the engine failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// redb failed; the cause tells whether the disk did.
    #[error("the database file failed")]
    Database(#[source] redb::Error),
    /// A commit failed and the file could not be opened again since.
    #[error("the database file is closed after a failure")]
    Closed,
}

/// The open file. `None` between a failed commit and a successful reopening.
pub(crate) struct Engine {
    opener: Opener,
    database: RwLock<Option<Database>>,
}

impl Engine {
    /// Opens the file, makes its tables if it is new, and reads its revision.
    pub(crate) fn open(opener: Opener) -> Result<(Self, Revision), EngineError> {
        let (database, revision) = open_database(&opener).map_err(EngineError::Database)?;
        Ok((Self { opener, database: RwLock::new(Some(database)) }, revision))
    }

    /// Closes the file and opens it again. Afterwards it holds either all or
    /// nothing of the commit that failed; the revision tells which.
    pub(crate) fn reopen(&self) -> Result<Revision, EngineError> {
        let mut database = self.database.write();
        // redb holds a lock on the file, so the old handle must go first.
        *database = None;
        let (reopened, revision) = open_database(&self.opener).map_err(EngineError::Database)?;
        *database = Some(reopened);
        Ok(revision)
    }

    /// Whether the file is open.
    pub(crate) fn is_open(&self) -> bool {
        self.database.read().is_some()
    }

    /// The entry of `key`.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Versioned>, EngineError> {
        self.read(|snapshot| {
            let entries = snapshot.open_table(ENTRIES)?;
            entries.get(key)?.map(|stored| decode(stored.value())).transpose()
        })
    }

    /// Entries under `prefix` that sort after `after`, and the revision of the
    /// snapshot they are from.
    pub(crate) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Versioned)>, Revision), EngineError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.read(|snapshot| {
            let revision = revision_of(&snapshot.open_table(META)?)?;
            let mut found = Vec::new();
            for entry in snapshot.open_table(ENTRIES)?.range::<&str>((start, Bound::Unbounded))? {
                let (key, stored) = entry?;
                if found.len() == limit || !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_owned(), decode(stored.value())?));
            }
            Ok((found, revision))
        })
    }

    /// Runs `txns` one after the other and makes what they did durable with a
    /// single sync. On an error none of them happened, or (if the sync itself
    /// failed) all of them may have: the caller must `reopen` to know.
    pub(crate) fn commit_group(
        &self,
        txns: &[Txn],
    ) -> Result<(Vec<TxnOutcome>, Vec<Commit>), EngineError> {
        let database = self.database.read();
        let database = database.as_ref().ok_or(EngineError::Closed)?;
        commit_group(database, txns).map_err(EngineError::Database)
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, EngineError> {
        let database = self.database.read();
        let database = database.as_ref().ok_or(EngineError::Closed)?;
        let snapshot = database.begin_read().map_err(|e| EngineError::Database(e.into()))?;
        query(&snapshot).map_err(EngineError::Database)
    }
}

fn open_database(opener: &Opener) -> Result<(Database, Revision), redb::Error> {
    let database = opener()?;
    let setup = begin_write(&database)?;
    let revision = {
        setup.open_table(ENTRIES)?;
        revision_of(&setup.open_table(META)?)?
    };
    if revision == 0 {
        setup.commit()?;
    } else {
        setup.abort()?;
    }
    Ok((database, revision))
}

fn begin_write(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    // One phase would trust a non-cryptographic checksum over bytes that
    // tenants choose; two phases trust the order of two syncs instead.
    write.set_two_phase_commit(true);
    Ok(write)
}

fn commit_group(
    database: &Database,
    txns: &[Txn],
) -> Result<(Vec<TxnOutcome>, Vec<Commit>), redb::Error> {
    let write = begin_write(database)?;
    let mut outcomes = Vec::with_capacity(txns.len());
    let mut commits = Vec::new();
    {
        let mut entries = write.open_table(ENTRIES)?;
        let mut meta = write.open_table(META)?;
        let mut revision = revision_of(&meta)?;
        for txn in txns {
            if !holds(&entries, &txn.compares)? {
                outcomes.push(TxnOutcome::Conflict);
                continue;
            }
            let events = apply(&mut entries, &txn.ops, revision + 1)?;
            if !events.is_empty() {
                revision += 1;
                commits.push(Commit { revision, events });
            }
            outcomes.push(TxnOutcome::Committed(revision));
        }
        if !commits.is_empty() {
            meta.insert(REVISION, revision)?;
        }
    }
    if commits.is_empty() {
        write.abort()?;
    } else {
        write.commit()?;
    }
    Ok((outcomes, commits))
}

fn holds(
    entries: &Table<'_, &'static str, &'static [u8]>,
    compares: &[Compare],
) -> Result<bool, redb::Error> {
    for compare in compares {
        let (key, wanted) = match compare {
            Compare::Absent(key) => (key, None),
            Compare::RevisionIs(key, revision) => (key, Some(*revision)),
        };
        let found = match entries.get(key.as_str())? {
            Some(stored) => Some(split(stored.value())?.0),
            None => None,
        };
        if found != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies `ops` and reports what changed: deleting an absent key is nothing.
fn apply(
    entries: &mut Table<'_, &'static str, &'static [u8]>,
    ops: &[Op],
    revision: Revision,
) -> Result<Vec<Event>, redb::Error> {
    let mut last_op_of = BTreeMap::new();
    for op in ops {
        match op {
            Op::Put(key, value) => last_op_of.insert(key, Some(value)),
            Op::Delete(key) => last_op_of.insert(key, None),
        };
    }
    let mut events = Vec::with_capacity(last_op_of.len());
    for (key, value) in last_op_of {
        let changed = match value {
            Some(value) => {
                let mut stored = Vec::with_capacity(REVISION_BYTES + value.len());
                stored.extend_from_slice(&revision.to_le_bytes());
                stored.extend_from_slice(value);
                entries.insert(key.as_str(), stored.as_slice())?;
                true
            }
            None => entries.remove(key.as_str())?.is_some(),
        };
        if changed {
            events.push(Event { revision, key: key.clone(), value: value.cloned() });
        }
    }
    Ok(events)
}

fn revision_of(meta: &impl ReadableTable<&'static str, u64>) -> Result<Revision, redb::Error> {
    Ok(meta.get(REVISION)?.map_or(0, |revision| revision.value()))
}

fn split(stored: &[u8]) -> Result<(Revision, &[u8]), redb::Error> {
    match stored.split_first_chunk::<REVISION_BYTES>() {
        Some((revision, value)) => Ok((Revision::from_le_bytes(*revision), value)),
        None => Err(redb::Error::Corrupted("an entry has no revision".to_owned())),
    }
}

fn decode(stored: &[u8]) -> Result<Versioned, redb::Error> {
    let (revision, value) = split(stored)?;
    Ok(Versioned { value: Bytes::copy_from_slice(value), revision })
}
