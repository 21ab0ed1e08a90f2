//! The redb file: its tables, its snapshots, and its one way to write.
//!
//! ```text
//! entries   KEY → revision (8 bytes, little-endian) ++ value
//! meta      "revision" → the newest committed revision
//! leased    KEY → its lease, and how long that lives in ms
//! ```

use crate::leases::Leases;
use bytes::Bytes;
use hearth_services::metastore::{
    Compare, Event, LeaseId, Op, Revision, Txn, TxnOutcome, Versioned,
};
use parking_lot::RwLock;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition, TableError,
};
use std::ops::Bound;
use std::time::Duration;

const ENTRIES: TableDefinition<&str, &[u8]> = TableDefinition::new("entries");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Absent until something is written; in files from before there were leases, too.
const LEASED: TableDefinition<&str, (u64, u64)> = TableDefinition::new("leased");
const REVISION: &str = "revision";
const REVISION_BYTES: usize = 8;

/// Opens the database anew; called again after a failed commit.
pub(crate) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Change {
    /// A transaction of a caller.
    Txn(Txn),
    /// The end of a lease: if it is wanted, or only if it is lapsed.
    EndLease { lease: LeaseId, is_wanted: bool },
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Txn(TxnOutcome),
    /// The transaction names a lease that is gone.
    LeaseGone,
    /// The lease has no keys any more.
    Ended(LeaseId),
    /// The lease was kept alive just in time.
    LivesOn,
}

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
    leases: Leases,
    database: RwLock<Option<Database>>,
}

impl Engine {
    /// Opens the file, makes its tables if it is new, and reads its revision.
    pub(crate) fn open(opener: Opener) -> Result<(Self, Revision), EngineError> {
        let (database, revision) = open_database(&opener).map_err(EngineError::Database)?;
        let leases = Leases::default();
        leases.revive(leases_in(&database).map_err(EngineError::Database)?);
        Ok((Self { opener, leases, database: RwLock::new(Some(database)) }, revision))
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

    /// The leases of its keys, and those without any.
    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
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

    /// Makes `changes` one after the other, durable with a single sync. On an error
    /// none of them happened, or (if the sync itself failed) all of them may have: the
    /// caller must `reopen` to know.
    pub(crate) fn commit_group(
        &self,
        changes: &[Change],
    ) -> Result<(Vec<Outcome>, Vec<Commit>), EngineError> {
        let database = self.database.read();
        let database = database.as_ref().ok_or(EngineError::Closed)?;
        commit_group(database, &self.leases, changes).map_err(EngineError::Database)
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

fn leases_in(database: &Database) -> Result<Vec<(LeaseId, Duration)>, redb::Error> {
    let leased = match database.begin_read()?.open_table(LEASED) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        leased => leased?,
    };
    let mut found = Vec::new();
    for entry in leased.range::<&str>(..)? {
        let (lease, ttl_ms) = entry?.1.value();
        found.push((LeaseId(lease), Duration::from_millis(ttl_ms)));
    }
    Ok(found)
}

/// The tables that changes are made in.
struct Tables<'t> {
    entries: Table<'t, &'static str, &'static [u8]>,
    leased: Table<'t, &'static str, (u64, u64)>,
}

fn commit_group(
    database: &Database,
    leases: &Leases,
    changes: &[Change],
) -> Result<(Vec<Outcome>, Vec<Commit>), redb::Error> {
    let write = begin_write(database)?;
    let mut outcomes = Vec::with_capacity(changes.len());
    let mut commits = Vec::new();
    {
        let mut meta = write.open_table(META)?;
        let mut revision = revision_of(&meta)?;
        let mut tables =
            Tables { entries: write.open_table(ENTRIES)?, leased: write.open_table(LEASED)? };
        for change in changes {
            let (outcome, events) = match change {
                Change::Txn(txn) => tables.run(txn, leases, revision + 1)?,
                Change::EndLease { lease, is_wanted } => {
                    match leases.begin_end(*lease, *is_wanted) {
                        true => (Outcome::Ended(*lease), tables.end(*lease, revision + 1)?),
                        false => (Outcome::LivesOn, Vec::new()),
                    }
                }
            };
            if !events.is_empty() {
                revision += 1;
                commits.push(Commit { revision, events });
            }
            outcomes.push(match outcome {
                Outcome::Txn(TxnOutcome::Committed(_)) => {
                    Outcome::Txn(TxnOutcome::Committed(revision))
                }
                other => other,
            });
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

impl Tables<'_> {
    /// Runs a transaction as `revision`, and reports what changed.
    fn run(
        &mut self,
        txn: &Txn,
        leases: &Leases,
        revision: Revision,
    ) -> Result<(Outcome, Vec<Event>), redb::Error> {
        if !holds(&self.entries, &txn.compares)? {
            return Ok((Outcome::Txn(TxnOutcome::Conflict), Vec::new()));
        }
        let gone = |op: &Op| op.lease().is_some_and(|lease| leases.ttl(lease).is_none());
        if txn.effects().into_values().any(gone) {
            return Ok((Outcome::LeaseGone, Vec::new()));
        }
        let mut events = Vec::new();
        for (key, op) in txn.effects() {
            if self.apply(key, op, leases, revision)? {
                let value = op.value().cloned();
                events.push(Event { revision, key: key.to_owned(), value });
            }
        }
        Ok((Outcome::Txn(TxnOutcome::Committed(revision)), events))
    }

    /// Whether that changed anything: deleting an absent key does not.
    fn apply(
        &mut self,
        key: &str,
        op: &Op,
        leases: &Leases,
        revision: Revision,
    ) -> Result<bool, redb::Error> {
        match op.lease().and_then(|lease| Some((lease, leases.ttl(lease)?))) {
            Some((lease, ttl)) => {
                self.leased.insert(key, (lease.0, ttl.as_millis() as u64))?;
            }
            None => {
                self.leased.remove(key)?;
            }
        }
        match op.value() {
            Some(value) => {
                let mut stored = Vec::with_capacity(REVISION_BYTES + value.len());
                stored.extend_from_slice(&revision.to_le_bytes());
                stored.extend_from_slice(value);
                self.entries.insert(key, stored.as_slice())?;
                Ok(true)
            }
            None => Ok(self.entries.remove(key)?.is_some()),
        }
    }

    /// Deletes the keys of a lease.
    fn end(&mut self, lease: LeaseId, revision: Revision) -> Result<Vec<Event>, redb::Error> {
        let mut events = Vec::new();
        for entry in self.leased.range::<&str>(..)? {
            let (key, of) = entry?;
            if of.value().0 == lease.0 {
                events.push(Event { revision, key: key.value().to_owned(), value: None });
            }
        }
        for Event { key, .. } in &events {
            self.leased.remove(key.as_str())?;
            self.entries.remove(key.as_str())?;
        }
        Ok(events)
    }
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
