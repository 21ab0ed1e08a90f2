//! Where in etcd things are.
//!
//! ```text
//! NAMESPACE/data/KEY              what the contract calls KEY
//! NAMESPACE/marker/HANDLE/NUMBER  what tells of transactions (see `markers`)
//! ```

use crate::error::EtcdError;
use bytes::Bytes;

/// The keys of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    data: String,
    markers: String,
}

impl Keyspace {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { data: format!("{namespace}/data/"), markers: format!("{namespace}/marker/") }
    }

    /// Where `key` lies.
    pub(crate) fn data(&self, key: &str) -> Bytes {
        [self.data.as_bytes(), key.as_bytes()].concat().into()
    }

    /// Before which all keys lie that begin with `prefix`.
    pub(crate) fn data_end(&self, prefix: &str) -> Bytes {
        let mut end = [self.data.as_bytes(), prefix.as_bytes()].concat();
        // Text never ends in 0xff, so the last byte can be made one greater.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        end.into()
    }

    /// What is directly behind `key`.
    pub(crate) fn behind(&self, key: &str) -> Bytes {
        [self.data.as_bytes(), key.as_bytes(), &[0]].concat().into()
    }

    /// The contract's key of what lies at `stored`.
    pub(crate) fn key_of(&self, stored: &[u8]) -> Result<String, EtcdError> {
        let key = stored.strip_prefix(self.data.as_bytes());
        let key = key.ok_or(EtcdError::Senseless("a key that was not asked for"))?;
        let key = std::str::from_utf8(key);
        Ok(key.map_err(|_| EtcdError::Senseless("a key that is not text"))?.to_owned())
    }

    /// Where a marker lies.
    pub(crate) fn marker(&self, handle: &str, number: u64) -> Bytes {
        format!("{}{handle}/{number}", self.markers).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_behind_all_that_begin_with_it() {
        let keys = Keyspace::new("n");
        for (prefix, within, beyond) in [
            ("a/", "a/\u{10ffff}x", "a0"),
            ("", "\u{10ffff}", ""),
            ("\u{10ffff}", "\u{10ffff}z", ""),
        ] {
            assert!(keys.data(within) < keys.data_end(prefix));
            assert!(beyond.is_empty() || keys.data(beyond) >= keys.data_end(prefix));
        }
        assert!(keys.data_end("") < keys.marker("h", 0));
        assert!(keys.behind("a") > keys.data("a") && keys.behind("a") < keys.data("a\u{1}"));
        assert_eq!(keys.key_of(&keys.data("a/é")).unwrap(), "a/é");
        assert!(keys.key_of(b"other/data/a").is_err());
    }
}
