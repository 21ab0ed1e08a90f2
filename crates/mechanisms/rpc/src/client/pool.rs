//! The channels of a process, one for each peer, and not too many.

use super::channel::Channel;
use crate::error::PoolFull;
use crate::limits::CHANNELS_MAX;
use crate::security::Security;
use hearth_types::NodeName;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// An address, and the node that is asked for there.
type Key = (String, Option<NodeName>);

/// Channels by address. Cheap to clone.
#[derive(Clone)]
pub struct Channels {
    inner: Arc<Inner>,
}

struct Inner {
    security: Security,
    max: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    channels: HashMap<Key, (Channel, u64)>,
    /// Counts uses: what was used long ago is let go first.
    uses: u64,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("max", &self.inner.max).finish_non_exhaustive()
    }
}

impl Channels {
    /// None yet.
    pub fn new(security: Security) -> Self {
        Self::with_max(security, CHANNELS_MAX)
    }

    /// None yet, and never more than `max` at once.
    pub fn with_max(security: Security, max: usize) -> Self {
        Self { inner: Arc::new(Inner { security, max, used: Mutex::default() }) }
    }

    /// The channel to `host:port`; to a certain node there, if one is named. Where there
    /// are too many, the one goes that nobody holds and that was asked for longest ago.
    pub fn get(&self, address: &str, node: Option<&NodeName>) -> Result<Channel, PoolFull> {
        let key = (address.to_owned(), node.cloned());
        let max = self.inner.max;
        let mut used = self.inner.used.lock();
        used.uses += 1;
        let now = used.uses;
        if let Some((channel, last)) = used.channels.get_mut(&key) {
            *last = now;
            return Ok(channel.clone());
        }
        if used.channels.len() >= max {
            let idle = used.channels.iter().filter(|(_, (channel, _))| channel.is_sole());
            let oldest = idle.min_by_key(|(_, (_, last))| *last).map(|(key, _)| key.clone());
            used.channels.remove(&oldest.ok_or(PoolFull { max })?);
        }
        let channel = Channel::new(address, node.cloned(), self.inner.security.clone());
        used.channels.insert(key, (channel.clone(), now));
        Ok(channel)
    }

    /// Lets go of what leads to an address, where no node is any more. Whoever holds such
    /// a channel may still use it.
    pub fn forget(&self, address: &str) {
        self.inner.used.lock().channels.retain(|(at, _), _| at != address);
    }
}
