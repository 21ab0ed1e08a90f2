//! Removes what crashes and deletions leave behind: versions whose function
//! is gone, and code objects and snapshots that no version names.
//!
//! An object without a name may belong to a call that is about to name it, be it
//! one that the call stored or an older one that it found and uses again. Such
//! calls hold a lock, which keeps the sweeper off: there is one control, that of
//! the process which holds the data directory. And code that was replaced may be
//! on its way to a sandbox, so it is left for some minutes.

use crate::error::internal;
use crate::objects::{CODE, CodeKeys};
use crate::service::ControlService;
use futures_util::TryStreamExt;
use hearth_services::control::ControlError;
use hearth_services::keys::{self, FunctionRecord};
use hearth_types::{AccountId, CodeLocation, FunctionName, FunctionVersion, VersionKey};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use std::collections::{BTreeSet, HashSet};
use tokio::time::Instant;

/// Most packages that one sweep removes; the next one goes on.
const SWEEP_PACKAGES_MAX: usize = 5_000;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Functions of which a deletion had left versions.
    pub functions: usize,
    /// Code objects.
    pub objects: usize,
}

impl ControlService {
    /// Removes leftovers of crashes and deletions. Run it at start, and now
    /// and then: it reads the keys of all functions and objects.
    pub async fn sweep(&self) -> Result<Swept, ControlError> {
        let functions = self.sweep_versions().await?;
        let objects = self.sweep_objects().await?;
        self.sweep_snapshots().await?;
        Ok(Swept { functions, objects })
    }

    async fn sweep_versions(&self) -> Result<usize, ControlError> {
        let mut with_versions = BTreeSet::new();
        let mut note = |key: VersionKey| {
            with_versions.insert((key.account, key.function));
        };
        self.records.walk(keys::VERSIONS, |_, v: FunctionVersion| note(v.key)).await?;
        self.records
            .walk(keys::FUNCTIONS, |key, _: FunctionRecord| {
                if let Some(function) = parse_function_key(&key) {
                    with_versions.remove(&function);
                }
            })
            .await?;
        // The removal itself requires that the function is still absent.
        for (account, name) in &with_versions {
            self.remove_leftovers(account, name).await?;
        }
        Ok(with_versions.len())
    }

    async fn sweep_objects(&self) -> Result<usize, ControlError> {
        let mut since = self.unnamed.lock().await;
        let unnamed = self.unnamed_packages().await?;
        let now = Instant::now();
        *since = unnamed
            .into_iter()
            .map(|package| {
                let from = since.get(&package).copied().unwrap_or(now);
                (package, from)
            })
            .collect();
        let long_enough = |from: &Instant| now.duration_since(*from) >= self.unnamed_kept;
        let candidates: HashSet<_> =
            since.iter().filter(|(_, from)| long_enough(from)).map(|(p, _)| p.clone()).collect();
        if candidates.is_empty() {
            return Ok(0);
        }
        // From here on no call is between storing code and naming it; those
        // that ended meanwhile may have named some.
        let _no_unreferenced = self.code.unreferenced().write().await;
        let named = self.named_packages().await?;
        let mut removed = 0;
        for package in candidates.difference(&named) {
            // As a whole, whichever of the two was found: one without the other
            // is of no use. In the reverse order of their storing.
            for object in [&package.image, &package.zip] {
                match self.code.objects().delete(object).await {
                    Ok(()) => removed += 1,
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(internal(error)),
                }
            }
        }
        Ok(removed)
    }

    /// Packages that some version names.
    async fn named_packages(&self) -> Result<HashSet<CodeKeys>, ControlError> {
        let mut named = HashSet::new();
        let mut note = |code: &CodeLocation| {
            let objects = [&code.zip_object, &code.image_object];
            named.extend(
                objects.into_iter().filter_map(|o| CodeKeys::of_object(&o.as_str().into())),
            );
        };
        self.records.walk(keys::VERSIONS, |_, v: FunctionVersion| note(&v.code)).await?;
        Ok(named)
    }

    /// Packages that no version names.
    async fn unnamed_packages(&self) -> Result<HashSet<CodeKeys>, ControlError> {
        let named = self.named_packages().await?;
        let prefix = ObjectPath::from(CODE);
        let mut objects = self.code.objects().list(Some(&prefix));
        let mut unnamed = HashSet::new();
        while let Some(object) = objects.try_next().await.map_err(internal)?
            && unnamed.len() < SWEEP_PACKAGES_MAX
        {
            let package = CodeKeys::of_object(&object.location);
            unnamed.extend(package.filter(|package| !named.contains(package)));
        }
        Ok(unnamed)
    }
}

fn parse_function_key(key: &str) -> Option<(AccountId, FunctionName)> {
    let (account, name) = key.strip_prefix(keys::FUNCTIONS)?.split_once('/')?;
    Some((account.parse().ok()?, name.parse().ok()?))
}
