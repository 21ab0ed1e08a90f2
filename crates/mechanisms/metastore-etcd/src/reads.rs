//! Reading: always what a majority agrees on.

use crate::error::{EtcdError, is_compacted};
use crate::keyspace::Keyspace;
use crate::members::{Members, PAGE_ENTRIES};
use crate::wire::{Header, KeyValue, Range};
use hearth_services::metastore::{MetaStoreError, Revision, Versioned};

/// How often a list is begun anew because its revision was compacted under it.
const LIST_TRIES_MAX: usize = 3;

/// Entries, and the revision that they were read at.
pub(crate) type Listed = (Vec<(String, Versioned)>, Revision);

/// The entry of `key`.
pub(crate) async fn get(
    members: &Members,
    keys: &Keyspace,
    key: &str,
) -> Result<Option<Versioned>, MetaStoreError> {
    let ranged = members.ask(Range { key: keys.data(key), ..Range::default() }).await?;
    Ok(ranged.kvs.into_iter().next().map(versioned).transpose()?)
}

/// Entries under `prefix` behind `after`, all as of one revision.
pub(crate) async fn list(
    members: &Members,
    keys: &Keyspace,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Listed, MetaStoreError> {
    for _ in 1..LIST_TRIES_MAX {
        match try_list(members, keys, prefix, after, limit).await {
            Err(error) if is_compacted(&error) => {}
            listed => return Ok(listed?),
        }
    }
    Ok(try_list(members, keys, prefix, after, limit).await?)
}

async fn try_list(
    members: &Members,
    keys: &Keyspace,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Listed, EtcdError> {
    let start = match after {
        Some(after) if after >= prefix => keys.behind(after),
        _ => keys.data(prefix),
    };
    let range_end = keys.data_end(prefix);
    let mut range = Range { key: start, range_end, ..Range::default() };
    let mut found = Vec::new();
    loop {
        let wanted = (limit - found.len()).min(PAGE_ENTRIES);
        // None at all would be taken for no limit.
        range.limit = wanted.max(1) as i64;
        range.keys_only = wanted == 0;
        let ranged = members.ask(range.clone()).await?;
        if range.revision == 0 {
            // All pages are as of the first one.
            range.revision = signed(revision(ranged.header)?)?;
        }
        let is_last = ranged.kvs.len() < wanted;
        for kv in ranged.kvs.into_iter().take(wanted) {
            found.push((keys.key_of(&kv.key)?, versioned(kv)?));
        }
        match found.last() {
            Some((last, _)) if !is_last && found.len() < limit => range.key = keys.behind(last),
            _ => return Ok((found, unsigned(range.revision)?)),
        }
    }
}

fn versioned(kv: KeyValue) -> Result<Versioned, EtcdError> {
    Ok(Versioned { revision: unsigned(kv.mod_revision)?, value: kv.value })
}

/// The revision in a header.
pub(crate) fn revision(header: Option<Header>) -> Result<Revision, EtcdError> {
    unsigned(header.ok_or(EtcdError::Senseless("no header"))?.revision)
}

/// A revision as the contract counts it.
pub(crate) fn unsigned(revision: i64) -> Result<Revision, EtcdError> {
    revision.try_into().map_err(|_| EtcdError::Senseless("a negative revision"))
}

/// The same, as etcd counts it.
pub(crate) fn signed(revision: Revision) -> Result<i64, EtcdError> {
    revision.try_into().map_err(|_| EtcdError::Senseless("a revision beyond all"))
}
