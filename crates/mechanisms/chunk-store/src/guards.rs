//! What keeps a collection from what is in use here: files being opened, open
//! files, and chunks of files being written.
//!
//! ```text
//!  opening ─► leased ─► dropped          a manifest; its chunks are live
//!  protected ─► released ─► forgotten    a name that a write stored or found
//!      both are kept after their end, until the last hold is let go
//!  doomed ─► deleting ─► gone            what a collection decided upon
//! ```
//!
//! A collection holds from before it knows its roots. So what is closed, or stored, when
//! those were read and before it is decided what goes, stays; how young it is does not
//! matter.
//!
//! Every step happens under one lock, so an object is either protected before
//! its deletion begins, and stays, or its writer waits until it is gone, and
//! stores it again.

use hearth_chunk_format::{Manifest, ManifestId};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Notify;

type Hash = [u8; 32];

/// See the module.
#[derive(Default)]
pub(crate) struct Guards {
    state: Mutex<State>,
    deleted: Notify,
}

#[derive(Default)]
struct State {
    next_lease: u64,
    leases: HashMap<u64, (ManifestId, Option<Arc<Manifest>>)>,
    protected: HashMap<Hash, usize>,
    holds: usize,
    /// What writes that ended since the first of the holds had protected.
    released: HashSet<Hash>,
    /// What was closed since then.
    closed: HashMap<ManifestId, Arc<Manifest>>,
    doomed: HashSet<ManifestId>,
    deleting: HashSet<Hash>,
}

/// Keeps a manifest's chunks; dropped with the last clone of an open file.
pub(crate) struct Lease {
    guards: Arc<Guards>,
    number: u64,
}

/// Keeps the names that one write stored or found.
pub(crate) struct Writing {
    guards: Arc<Guards>,
    names: Mutex<Vec<Hash>>,
}

/// As long as this is held, what was open or stored since it began is in use for every
/// collection. Whoever collects takes one before finding out what has to stay.
#[must_use]
pub struct Hold {
    guards: Arc<Guards>,
}

/// A collection that is running.
pub(crate) struct Collecting {
    guards: Arc<Guards>,
    _hold: Hold,
}

/// Manifests that were in use when a collection made up its mind.
pub(crate) struct InUse {
    /// Still being read: their chunks are not known here.
    pub(crate) opening: Vec<ManifestId>,
    /// Open.
    pub(crate) open: Vec<Arc<Manifest>>,
}

impl Guards {
    /// Begins to open a manifest; `None` if it is about to be deleted.
    pub(crate) fn lease(self: &Arc<Self>, id: ManifestId) -> Option<Lease> {
        let mut state = self.state.lock();
        if state.doomed.contains(&id) {
            return None;
        }
        let number = state.next_lease;
        state.next_lease += 1;
        state.leases.insert(number, (id, None));
        Some(Lease { guards: self.clone(), number })
    }

    /// Every manifest that is open here, or is being opened.
    pub(crate) fn leased(&self) -> BTreeSet<ManifestId> {
        self.state.lock().leases.values().map(|(id, _)| *id).collect()
    }

    /// Begins to write a file.
    pub(crate) fn write(self: &Arc<Self>) -> Arc<Writing> {
        Arc::new(Writing { guards: self.clone(), names: Mutex::default() })
    }

    /// Begins a collection; the caller sees to it that there is one at a time.
    pub(crate) fn collect(self: &Arc<Self>) -> Collecting {
        Collecting { guards: self.clone(), _hold: self.hold() }
    }

    /// See [`Hold`].
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.state.lock().holds += 1;
        Hold { guards: self.clone() }
    }
}

impl Lease {
    /// The manifest was read.
    pub(crate) fn opened(&self, manifest: Arc<Manifest>) {
        let mut state = self.guards.state.lock();
        let lease = state.leases.get_mut(&self.number).expect("it lives as long as this");
        lease.1 = Some(manifest);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.guards.state.lock();
        let lease = state.leases.remove(&self.number);
        if state.holds > 0
            && let Some((id, Some(manifest))) = lease
        {
            state.closed.insert(id, manifest);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.guards.state.lock();
        state.holds -= 1;
        if state.holds == 0 {
            state.released.clear();
            state.closed.clear();
        }
    }
}

impl Writing {
    /// Keeps `name` from collections until this write ends. Waits out a deletion
    /// that is under way: look afterwards whether the object is there.
    pub(crate) async fn protect(&self, name: Hash) {
        loop {
            let deleted = self.guards.deleted.notified();
            tokio::pin!(deleted);
            // From here on a deletion that ends is noticed.
            deleted.as_mut().enable();
            {
                let mut state = self.guards.state.lock();
                if !state.deleting.contains(&name) {
                    *state.protected.entry(name).or_default() += 1;
                    // A manifest that is written again is not to go after all.
                    state.doomed.remove(&ManifestId::from_bytes(name));
                    self.names.lock().push(name);
                    return;
                }
            }
            deleted.await;
        }
    }
}

impl Writing {
    /// What it stored or found so far.
    pub(crate) fn names(&self) -> HashSet<Hash> {
        self.names.lock().iter().copied().collect()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = self.guards.state.lock();
        for name in self.names.get_mut().drain(..) {
            let count = state.protected.get_mut(&name).expect("counted when protected");
            *count -= 1;
            if *count == 0 {
                state.protected.remove(&name);
                if state.holds > 0 {
                    state.released.insert(name);
                }
            }
        }
    }
}

impl Collecting {
    /// Decides upon manifests that are to go, but for those in use. From now on
    /// the others cannot be opened.
    pub(crate) fn doom(&self, dead: impl IntoIterator<Item = ManifestId>) -> InUse {
        let mut state = self.guards.state.lock();
        state.doomed = dead.into_iter().collect();
        let State { doomed, leases, protected, released, closed, .. } = &mut *state;
        doomed.retain(|id| {
            !protected.contains_key(id.as_bytes()) && !released.contains(id.as_bytes())
        });
        let mut in_use = InUse { opening: Vec::new(), open: closed.values().cloned().collect() };
        doomed.retain(|id| !closed.contains_key(id));
        for (id, manifest) in leases.values() {
            doomed.remove(id);
            match manifest {
                Some(manifest) => in_use.open.push(manifest.clone()),
                None => in_use.opening.push(*id),
            }
        }
        in_use
    }

    /// What [`Collecting::doom`] decided upon.
    pub(crate) fn doomed(&self) -> Vec<ManifestId> {
        self.guards.state.lock().doomed.iter().copied().collect()
    }

    /// Begins a deletion, unless the name is in use or was since the collection
    /// began. Drop it when the object is gone.
    pub(crate) fn delete(&self, name: Hash) -> Option<Deleting<'_>> {
        let mut state = self.guards.state.lock();
        if state.protected.contains_key(&name) || state.released.contains(&name) {
            return None;
        }
        state.deleting.insert(name);
        Some(Deleting { guards: &self.guards, name })
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        self.guards.state.lock().doomed.clear();
    }
}

/// One deletion.
pub(crate) struct Deleting<'a> {
    guards: &'a Guards,
    name: Hash,
}

impl Drop for Deleting<'_> {
    fn drop(&mut self) {
        self.guards.state.lock().deleting.remove(&self.name);
        self.guards.deleted.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;

    const NAME: Hash = [1; 32];

    #[tokio::test]
    async fn a_write_waits_until_a_deletion_is_over() {
        let guards = Arc::<Guards>::default();
        let collecting = guards.collect();
        let deleting = collecting.delete(NAME).unwrap();
        let writing = guards.write();
        let mut protect = std::pin::pin!(writing.protect(NAME));
        assert!(poll!(&mut protect).is_pending());
        drop(deleting);
        assert!(poll!(&mut protect).is_ready());
        assert!(collecting.delete(NAME).is_none());
    }

    #[tokio::test]
    async fn a_name_is_kept_until_the_collection_ends_that_saw_it_written() {
        let guards = Arc::<Guards>::default();
        let collecting = guards.collect();
        let (one, two) = (guards.write(), guards.write());
        one.protect(NAME).await;
        two.protect(NAME).await;
        drop(one);
        assert!(collecting.delete(NAME).is_none());
        drop(two);
        assert!(collecting.delete(NAME).is_none());
        drop(collecting);
        assert!(guards.collect().delete(NAME).is_some());
    }

    #[tokio::test]
    async fn a_doomed_manifest_cannot_be_leased_and_one_in_use_is_not_doomed() {
        let guards = Arc::<Guards>::default();
        let [leased, written, dead] = [1, 2, 3].map(|n| ManifestId::from_bytes([n; 32]));
        let lease = guards.lease(leased).unwrap();
        let writing = guards.write();
        writing.protect(*written.as_bytes()).await;
        let collecting = guards.collect();
        let in_use = collecting.doom([leased, written, dead]);
        assert_eq!((in_use.opening, in_use.open.len()), (vec![leased], 0));
        assert_eq!(collecting.doomed(), [dead]);
        assert!(guards.lease(dead).is_none());
        writing.protect(*dead.as_bytes()).await;
        assert!(guards.lease(dead).is_some(), "written again");
        drop((lease, collecting));
        assert_eq!(guards.collect().doom([leased]).opening, []);
    }
}
