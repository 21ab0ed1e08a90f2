//! What every engine does with a transaction before it does anything else: checks it
//! against the contract's bounds, and finds out which operation on a key counts.

use super::{
    Compare, KEY_BYTES_MAX, MetaStoreError, Op, TXN_BYTES_MAX, TXN_OPS_MAX, Txn, VALUE_BYTES_MAX,
};
use std::collections::BTreeMap;

/// Refuses an over-long key or prefix.
pub fn check_key(key: &str) -> Result<(), MetaStoreError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(MetaStoreError::TooLarge("a key is too long"));
    }
    Ok(())
}

impl Txn {
    /// Refuses what is over any bound.
    pub fn check(&self) -> Result<(), MetaStoreError> {
        if self.ops.len() > TXN_OPS_MAX || self.compares.len() > TXN_OPS_MAX {
            return Err(MetaStoreError::TooLarge("a transaction has too many operations"));
        }
        let mut bytes = 0;
        for compare in &self.compares {
            let (Compare::Absent(key) | Compare::RevisionIs(key, _)) = compare;
            check_key(key)?;
            bytes += key.len();
        }
        for op in &self.ops {
            check_key(op.key())?;
            let value_bytes = op.value().map_or(0, |value| value.len());
            if value_bytes > VALUE_BYTES_MAX {
                return Err(MetaStoreError::TooLarge("a value is too large"));
            }
            bytes += op.key().len() + value_bytes;
        }
        if bytes > TXN_BYTES_MAX {
            return Err(MetaStoreError::TooLarge("a transaction is too large"));
        }
        Ok(())
    }

    /// The last operation on each key, by key: the one that counts.
    pub fn effects(&self) -> BTreeMap<&str, &Op> {
        self.ops.iter().map(|op| (op.key(), op)).collect()
    }
}
