//! The server's side of what an operator asks of snapshots.

use super::keeper::{Collection, Keeper};
use super::wire::{Damaged, Link, Shown, SnapshotLine, Verified, VersionOf};
use anyhow::{Context, bail};
use hearth_chunk_store::{Owner, Report, Suspects};
use hearth_snapshot_store::{Name, PageMap, SnapshotStore, Stored, Summary};
use hearth_types::{AccountId, FunctionName, SnapshotId, Version, VersionKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Layers below a snapshot that are followed: there are two.
const CHAIN_MAX: usize = 8;
/// Cells of a map: as many as can be told apart on a page.
const CELLS_MAX: u32 = 128 * 1024;

/// Which snapshot is meant.
pub(super) enum Wanted<'a> {
    /// That of a version, in any account that has one if none is given.
    Version(Option<AccountId>, FunctionName, Version),
    /// A layer, by the beginning of its name.
    Layer(&'a str),
}

/// The snapshots of this server.
pub(crate) struct SnapshotDesk {
    /// None where there are no snapshots.
    store: Option<SnapshotStore>,
    keeper: Arc<dyn Keeper>,
}

impl SnapshotDesk {
    pub(crate) fn new(store: Option<SnapshotStore>, keeper: Arc<dyn Keeper>) -> Self {
        Self { store, keeper }
    }

    fn store(&self) -> anyhow::Result<&SnapshotStore> {
        self.store.as_ref().context("this server takes no snapshots: its log says why")
    }

    /// All of them: layers first.
    pub(super) async fn list(&self) -> anyhow::Result<Vec<SnapshotLine>> {
        let store = self.store()?;
        let versions = self.keeper.versions().await?;
        let mut names = store.names().await?;
        names.sort();
        let suspects = store.suspects().await?;
        let mut lines = Vec::with_capacity(names.len());
        for name in names {
            lines.extend(line(store, &suspects, &name, &versions).await);
        }
        Ok(lines)
    }

    /// One of them.
    pub(super) async fn show(&self, wanted: Wanted<'_>, map: bool) -> anyhow::Result<Shown> {
        let store = self.store()?;
        let versions = self.keeper.versions().await?;
        let name = self.find(wanted, &versions).await?;
        let stored = store.open(&name).await.with_context(|| format!("{name} is damaged"))?;
        let stored = stored.with_context(|| format!("there is no snapshot {name} any more"))?;
        let line = SnapshotLine {
            name: name.to_string(),
            of: of(&name, &versions),
            summary: Some(Summary::of(&stored)),
            error: damage(store, &store.suspects().await?, &stored).await,
        };
        let map = map.then(|| PageMap::of(&stored, CELLS_MAX));
        let mut chain = Vec::new();
        let mut below = stored.record.parent.clone();
        while let Some((owner, memory)) = below.take()
            && chain.len() < CHAIN_MAX
        {
            let found = match Name::of_layer(&owner) {
                Some(name) => store.open(&name).await?,
                None => None,
            };
            // What it shares is its own now, whatever became of the other.
            let state = match &found {
                None => "gone",
                Some(found) if found.record.memory != memory => "made anew since",
                Some(_) => "there",
            };
            chain.push(Link {
                name: owner.to_string(),
                state: state.to_owned(),
                summary: found.as_ref().map(Summary::of),
            });
            below = found.and_then(|found| found.record.parent);
        }
        Ok(Shown { line, chain, map })
    }

    async fn find(
        &self,
        wanted: Wanted<'_>,
        versions: &BTreeMap<SnapshotId, VersionKey>,
    ) -> anyhow::Result<Name> {
        let (what, found) = match wanted {
            Wanted::Version(account, function, version) => {
                let is_it = |key: &VersionKey| {
                    account.as_ref().is_none_or(|account| *account == key.account)
                        && (&key.function, key.version) == (&function, version)
                };
                let found = versions.iter().filter(|(_, key)| is_it(key));
                let name = |(id, key): (&SnapshotId, &VersionKey)| {
                    Name::Function(key.account.clone(), *id)
                };
                (format!("{function}:{version}"), found.map(name).collect::<Vec<_>>())
            }
            Wanted::Layer(text) => {
                let names = self.store()?.names().await?.into_iter();
                let is_it = |name: &Name| match name {
                    Name::Layer(name) => name.to_string().starts_with(text),
                    Name::Function(..) => false,
                };
                (format!("layer {text}"), names.filter(is_it).collect())
            }
        };
        match &found[..] {
            [name] => Ok(name.clone()),
            [] => bail!("there is no snapshot of {what}"),
            several => {
                let names: Vec<_> = several.iter().map(ToString::to_string).collect();
                bail!("there are several snapshots of {what}: {}", names.join(", "))
            }
        }
    }

    /// Gives back what nothing needs.
    pub(super) async fn collect(&self, grace: Option<Duration>) -> anyhow::Result<Collection> {
        self.keeper.collect(grace).await
    }

    /// Reads everything that snapshots and functions need.
    pub(super) async fn verify(&self) -> anyhow::Result<Verified> {
        let store = self.store()?;
        let mut files = self.keeper.code_files().await?;
        let mut unusable = Vec::new();
        for name in store.names().await? {
            // One that is not whole must not keep the others from being looked at.
            match store.files_of(&name).await {
                Ok(of_snapshot) => files.extend(of_snapshot),
                Err(error) => {
                    unusable.push(format!("{name}: {:#}", anyhow::Error::new(error)));
                }
            }
        }
        let report = store.chunks().verify(&files).await;
        let Report { objects, damaged, unread, keyless } = report;
        let damaged = damaged.into_iter().map(|damage| Damaged {
            object: damage.object.to_string(),
            level: damage.level.as_str().to_owned(),
            what: if damage.is_missing { "missing" } else { "corrupt" }.to_owned(),
            healed: damage.is_healed,
        });
        let unread =
            unread.into_iter().map(|(object, error)| format!("{object}: {:#}", chain(error)));
        let keyless = keyless
            .into_iter()
            .map(|(owner, error): (Owner, _)| format!("the key of {owner}: {:#}", chain(error)));
        Ok(Verified {
            snapshots_damaged: unusable,
            objects,
            damaged: damaged.collect(),
            unread: unread.chain(keyless).collect(),
        })
    }
}

fn chain(error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    anyhow::Error::new(error)
}

/// What of an open snapshot was found bad, if anything was.
async fn damage(store: &SnapshotStore, suspects: &Suspects, stored: &Stored) -> Option<String> {
    match store.damage(suspects, stored).await {
        Ok(damaged) => {
            let [first, ..] = &damaged[..] else { return None };
            Some(format!(
                "damaged: {first} is bad in the object store, and {} more; it is made anew with \
                 starts that would use it",
                damaged.len() - 1
            ))
        }
        Err(error) => Some(format!("{:#}", chain(error))),
    }
}

/// A line for a snapshot; none if it is gone.
async fn line(
    store: &SnapshotStore,
    suspects: &Suspects,
    name: &Name,
    versions: &BTreeMap<SnapshotId, VersionKey>,
) -> Option<SnapshotLine> {
    let (summary, error) = match store.open(name).await {
        Ok(None) => return None,
        Ok(Some(stored)) => (Some(Summary::of(&stored)), damage(store, suspects, &stored).await),
        Err(error) => (None, Some(format!("{:#}", anyhow::Error::new(error)))),
    };
    Some(SnapshotLine { name: name.to_string(), of: of(name, versions), summary, error })
}

/// Whose it is.
fn of(name: &Name, versions: &BTreeMap<SnapshotId, VersionKey>) -> Option<VersionOf> {
    let Name::Function(account, id) = name else { return None };
    let key = versions.get(id);
    Some(VersionOf {
        account: account.clone(),
        function: key.map(|key| key.function.clone()),
        version: key.map(|key| key.version),
    })
}
