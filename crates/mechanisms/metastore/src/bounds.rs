//! Checks that keys, values and transactions are within the contract's bounds.

use hearth_services::metastore::{
    Compare, KEY_BYTES_MAX, MetaStoreError, Op, TXN_BYTES_MAX, TXN_OPS_MAX, Txn, VALUE_BYTES_MAX,
};

/// Refuses an over-long key or prefix.
pub(crate) fn check_key(key: &str) -> Result<(), MetaStoreError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(MetaStoreError::TooLarge("a key is too long"));
    }
    Ok(())
}

/// Refuses a transaction that is over any bound.
pub(crate) fn check_txn(txn: &Txn) -> Result<(), MetaStoreError> {
    if txn.ops.len() > TXN_OPS_MAX || txn.compares.len() > TXN_OPS_MAX {
        return Err(MetaStoreError::TooLarge("a transaction has too many operations"));
    }
    let mut bytes = 0;
    for compare in &txn.compares {
        let (Compare::Absent(key) | Compare::RevisionIs(key, _)) = compare;
        check_key(key)?;
        bytes += key.len();
    }
    for op in &txn.ops {
        let (key, value_bytes) = match op {
            Op::Put(key, value) => (key, value.len()),
            Op::Delete(key) => (key, 0),
        };
        check_key(key)?;
        if value_bytes > VALUE_BYTES_MAX {
            return Err(MetaStoreError::TooLarge("a value is too large"));
        }
        bytes += key.len() + value_bytes;
    }
    if bytes > TXN_BYTES_MAX {
        return Err(MetaStoreError::TooLarge("a transaction is too large"));
    }
    Ok(())
}
