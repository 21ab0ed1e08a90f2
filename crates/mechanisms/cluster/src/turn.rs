//! What one node at a time does for all: the turn is a record under the node's lease.

use hearth_services::keys;
use hearth_services::metastore::{
    Compare, LeaseId, MetaStore, MetaStoreError, Revision, Txn, TxnOutcome,
};
use hearth_types::NodeLife;

/// That a turn is this node's: the transaction that said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    key: &'static str,
    revision: Revision,
}

impl Turn {
    /// Takes the turn that `key` names if nobody else has it; it ends with the lease.
    pub async fn claim(
        store: &dyn MetaStore,
        key: &'static str,
        life: NodeLife,
        lease: LeaseId,
    ) -> Result<Option<Self>, MetaStoreError> {
        let me = keys::encode(&life);
        let txn = match store.get(key).await? {
            None => Txn::new().absent(key),
            // Left from a turn that was cut short, or claimed by a call whose answer was lost.
            Some(found) if found.value == me => Txn::new().unchanged(key, found.revision),
            Some(_) => return Ok(None),
        };
        match store.transact(txn.put_leased(key, me, lease)).await? {
            TxnOutcome::Committed(revision) => Ok(Some(Self { key, revision })),
            TxnOutcome::Conflict => Ok(None),
        }
    }

    /// What a transaction requires that only the holder of the turn may do.
    pub fn holds(&self) -> Compare {
        Compare::RevisionIs(self.key.to_owned(), self.revision)
    }

    /// Lets the next have it.
    pub async fn give_back(self, store: &dyn MetaStore) {
        let txn = Txn::new().unchanged(self.key, self.revision).delete(self.key);
        if let Err(error) = store.transact(txn).await {
            tracing::warn!(
                key = self.key,
                error = &error as &dyn std::error::Error,
                "a turn could not be given back; it ends with this node's lease"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_metastore::RedbStore;
    use std::time::Duration;

    #[tokio::test]
    async fn a_turn_is_one_nodes_until_it_gives_it_back_or_its_lease_ends() {
        let dir = tempfile::tempdir().unwrap();
        let store = RedbStore::open(&dir.path().join("meta")).unwrap();
        let lease = store.grant_lease(Duration::from_secs(60)).await.unwrap().id;
        let other_lease = store.grant_lease(Duration::from_secs(60)).await.unwrap().id;
        let (one, other) = (NodeLife::new(), NodeLife::new());
        let claim =
            async |life, lease| Turn::claim(&store, keys::CONTROL, life, lease).await.unwrap();
        let write = async |turn: Turn| {
            let txn = Txn { compares: vec![turn.holds()], ..Txn::new().put("x", "y") };
            matches!(store.transact(txn).await.unwrap(), TxnOutcome::Committed(_))
        };
        let first = claim(one, lease).await.unwrap();
        assert_eq!(claim(other, other_lease).await, None);
        // The same node again: what it had before counts no more.
        let second = claim(one, lease).await.unwrap();
        assert_eq!((write(first).await, write(second).await), (false, true));
        first.give_back(&store).await;
        assert!(write(second).await, "it was not its own any more");
        second.give_back(&store).await;
        let third = claim(other, other_lease).await.unwrap();
        assert_eq!((write(second).await, write(third).await), (false, true));
        store.revoke_lease(other_lease).await.unwrap();
        assert!(!write(third).await);
        assert!(claim(one, lease).await.is_some());
    }
}
