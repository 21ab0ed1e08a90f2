//! Looking for damage: everything that roots need is read from each level.

use crate::bounds::PREFETCH_PARALLEL;
use crate::disk::Found;
use crate::fetch::ReadError;
use crate::keyring::KeyringError;
use crate::metrics;
use crate::object::{Level, Object, Sealed, WantedManifest};
use crate::store::ChunkStore;
use futures_util::{StreamExt, stream};
use hearth_chunk_format::{ChunkRef, ManifestId, Owner};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// Objects that the roots need.
    pub objects: u64,
    /// Copies that are corrupt or missing.
    pub damaged: Vec<Damage>,
    /// Objects that could not be read for another reason, or that are refused.
    pub unread: Vec<(Object, ReadError)>,
    /// Owners whose keys could not be had.
    pub keyless: Vec<(Owner, Arc<KeyringError>)>,
}

/// A copy that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Of what.
    pub object: Object,
    /// Where.
    pub level: Level,
    /// There is none, where one must be. Otherwise it is corrupt.
    pub is_missing: bool,
    /// Another level had it whole, and this one has it again.
    pub is_healed: bool,
}

impl Report {
    /// Nothing is wrong, or nothing any more.
    pub fn is_whole(&self) -> bool {
        self.unread.is_empty()
            && self.keyless.is_empty()
            && self.damaged.iter().all(|damage| damage.is_healed)
    }
}

/// What became of one object.
pub(crate) struct Checked<T> {
    pub(crate) opened: Option<T>,
    pub(crate) damage: Option<Damage>,
    pub(crate) error: Option<ReadError>,
}

impl ChunkStore {
    /// Reads all that `roots` need, from disk and from the origin, and heals
    /// either from the other, or the origin from memory.
    pub async fn verify(&self, roots: &BTreeSet<(Owner, ManifestId)>) -> Report {
        let mut report = Report::default();
        let mut chunks: HashMap<_, ChunkRef> = HashMap::new();
        for (owner, id) in roots {
            let key = match self.shared.keyring.manifest_key(owner).await {
                Ok(key) => key,
                Err(error) => {
                    report.keyless.push((owner.clone(), Arc::new(error)));
                    continue;
                }
            };
            let wanted = WantedManifest { id: *id, owner: owner.clone(), key };
            let manifest = report.note(wanted.object(), self.examine(&wanted, None).await);
            for named in manifest.iter().flat_map(|manifest| manifest.chunks()) {
                chunks.insert(named.chunk.name, named.chunk.clone());
            }
        }
        let mut checks = stream::iter(chunks.into_values())
            .map(async |chunk| {
                let at_hand = self.shared.levels.in_memory(&chunk).await;
                (chunk.object(), self.examine(&chunk, at_hand).await)
            })
            .buffer_unordered(PREFETCH_PARALLEL);
        while let Some((object, checked)) = checks.next().await {
            report.note(object, checked);
        }
        report
    }

    /// Checks an object, and notes what it found of the origin's copy.
    async fn examine<S: Sealed>(
        &self,
        wanted: &S,
        at_hand: Option<S::Opened>,
    ) -> Checked<S::Opened> {
        let checked = self.check(wanted, at_hand).await;
        match checked.damage {
            Some(Damage { object, level: Level::Origin, is_healed: true, .. }) => {
                if let Err(error) = self.shared.levels.clear(object.hash()).await {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(%object, error, "cannot note that a copy was healed");
                }
            }
            Some(Damage { object, level: Level::Origin, .. }) => {
                self.shared.levels.suspect(&object).await;
            }
            _ => {}
        }
        checked
    }

    /// Reads an object from disk and from the origin, and heals either from the other,
    /// or from what is at hand of it, opened.
    pub(crate) async fn check<S: Sealed>(
        &self,
        wanted: &S,
        at_hand: Option<S::Opened>,
    ) -> Checked<S::Opened> {
        let (object, levels) = (wanted.object(), &self.shared.levels);
        let on_disk = match &levels.disk {
            Some(disk) => disk.fetch(wanted).await,
            None => Found::Nothing,
        };
        let damage = |level, is_missing, is_healed| {
            if is_healed {
                metrics::healed(level);
            }
            Some(Damage { object, level, is_missing, is_healed })
        };
        match (levels.origin.fetch(wanted).await, on_disk) {
            (Ok((sealed, opened)), Found::Damaged) => {
                let is_healed = levels.keep(object, sealed).await;
                let damage = damage(Level::Disk, false, is_healed);
                Checked { opened: Some(opened), damage, error: None }
            }
            (Ok((_, opened)), _) => Checked { opened: Some(opened), damage: None, error: None },
            (Err(error @ (ReadError::Missing(_) | ReadError::Corrupt(_))), on_disk) => {
                let is_missing = matches!(error, ReadError::Missing(_));
                let sealed = match on_disk {
                    Found::Whole(sealed, Ok(_)) => Some(sealed),
                    _ => at_hand.and_then(|opened| wanted.reseal(opened)),
                };
                let is_healed = match &sealed {
                    Some(sealed) => levels.origin.put(&object.path(), sealed).await.is_ok(),
                    None => false,
                };
                let opened = sealed.and_then(|sealed| wanted.open(&sealed).ok());
                let damage = damage(Level::Origin, is_missing, is_healed);
                Checked { opened, damage, error: None }
            }
            (Err(error), Found::Whole(_, Ok(opened))) => {
                Checked { opened: Some(opened), damage: None, error: Some(error) }
            }
            (Err(error), _) => Checked { opened: None, damage: None, error: Some(error) },
        }
    }
}

impl Report {
    fn note<T>(&mut self, object: Object, checked: Checked<T>) -> Option<T> {
        self.objects += 1;
        self.damaged.extend(checked.damage);
        self.unread.extend(checked.error.map(|error| (object, error)));
        checked.opened
    }
}
