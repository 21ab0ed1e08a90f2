//! Slots: what a sandbox needs of the host and can be made ready before it is
//! needed — a uid, a cgroup, a network — kept in a pool.
//!
//! A slot is used by one sandbox only. After it, cgroup and network are taken
//! down, and the number goes back to be made ready anew.

use crate::VmError;
use crate::cgroup::{Group, Tree};
use crate::network::{Network, SlotNetwork};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

/// Slots kept ready; one takes about 20 ms to make, a boot much longer.
const READY_AHEAD: usize = 4;
/// How long a start may wait for a slot that is being made.
const READY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Uids are not shared with anything else on the host: far above what users,
/// systemd and containers are given.
const UID_FIRST: u32 = 2_000_000;

/// One sandbox's share of the host.
pub(crate) struct Slot {
    number: u32,
    uid: u32,
    group: Arc<Group>,
    network: SlotNetwork,
    pool: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) fn group(&self) -> Arc<Group> {
        self.group.clone()
    }

    pub(crate) fn network(&self) -> &SlotNetwork {
        &self.network
    }

    /// Takes down what the slot had; its process must have ended.
    pub(crate) async fn release(self) {
        let Self { number, group, network, pool, _permit, .. } = self;
        pool.take_down(number, Ready { group, network }).await;
    }
}

/// A slot nobody uses yet.
struct Ready {
    group: Arc<Group>,
    network: SlotNetwork,
}

struct Shared {
    tree: Tree,
    network: Arc<Network>,
    uid_first: u32,
    free: mpsc::Sender<u32>,
}

impl Shared {
    async fn make(&self, number: u32) -> Result<Ready, VmError> {
        let group = self.tree.group(&format!("slot-{number}")).map_err(VmError::Cgroup)?;
        let network = self.network.prepare(number).await.map_err(|e| {
            let _ = group.remove();
            VmError::Network(e.to_string())
        })?;
        Ok(Ready { group: Arc::new(group), network })
    }

    async fn take_down(&self, number: u32, ready: Ready) {
        self.network.take_down(ready.network).await;
        let group = ready.group;
        let removed = tokio::task::spawn_blocking(move || group.remove()).await;
        match removed {
            Ok(Ok(())) => {}
            // The number is used again: the group of that name is taken over.
            Ok(Err(error)) => tracing::error!(number, %error, "a cgroup could not be removed"),
            Err(error) => tracing::error!(number, %error, "removing a cgroup failed"),
        }
        // Never full: it has room for every number.
        let _ = self.free.try_send(number);
    }
}

/// The pool.
pub(crate) struct Slots {
    shared: Arc<Shared>,
    slots_max: u32,
    permits: Arc<Semaphore>,
    ready: Mutex<mpsc::Receiver<(u32, Result<Ready, VmError>)>>,
    refill: tokio::task::JoinHandle<()>,
}

impl Slots {
    /// Begins to make slots ready.
    pub(crate) fn start(tree: Tree, network: Arc<Network>, slots_max: u32) -> Self {
        let (free, mut free_numbers) = mpsc::channel(slots_max as usize);
        let (ready_sender, ready) = mpsc::channel(READY_AHEAD);
        for number in 0..slots_max {
            free.try_send(number).expect("as much room as numbers");
        }
        let uid_first = UID_FIRST + network.uid_offset();
        let shared = Arc::new(Shared { tree, network, uid_first, free });
        let maker = shared.clone();
        let refill = hearth_tasks::spawn("slots ahead", async move {
            // Room first, so that no more than READY_AHEAD are made.
            while let Ok(room) = ready_sender.reserve().await {
                let Some(number) = free_numbers.recv().await else { return };
                let made = maker.make(number).await;
                if let Err(error) = &made {
                    tracing::error!(number, %error, "a sandbox slot could not be made ready");
                    let _ = maker.free.try_send(number);
                }
                room.send((number, made));
            }
        });
        Self {
            shared,
            slots_max,
            permits: Arc::new(Semaphore::new(slots_max as usize)),
            ready: Mutex::new(ready),
            refill,
        }
    }

    /// Takes a slot; at once if one is ready.
    pub(crate) async fn take(&self) -> Result<Slot, VmError> {
        let no_slot = |_| VmError::NoSlot { slots_max: self.slots_max };
        let permit = self.permits.clone().try_acquire_owned().map_err(no_slot)?;
        let made =
            tokio::time::timeout(READY_WAIT_MAX, async { self.ready.lock().await.recv().await });
        let (number, ready) = match made.await {
            Ok(Some((number, made))) => (number, made?),
            Ok(None) => return Err(VmError::ShuttingDown),
            Err(_) => {
                return Err(VmError::Network(format!("not ready within {READY_WAIT_MAX:?}")));
            }
        };
        Ok(Slot {
            number,
            uid: self.shared.uid_first + number,
            group: ready.group,
            network: ready.network,
            pool: self.shared.clone(),
            _permit: permit,
        })
    }

    /// Makes no more slots and takes down those that were ready. None may be
    /// asked for any more.
    pub(crate) async fn drain(&self) {
        self.refill.abort();
        let mut ready = self.ready.lock().await;
        ready.close();
        while let Some((number, made)) = ready.recv().await {
            if let Ok(made) = made {
                self.shared.take_down(number, made).await;
            }
        }
    }
}
