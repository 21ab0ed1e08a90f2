//! Removes what crashes and deletions leave behind: versions whose function
//! is gone, and code objects that no version names.
//!
//! An object without a name may belong to a call that is about to name it.
//! Two things keep the sweeper off it: within one process a lock that such
//! calls hold, between processes its age, since no call takes that long.

use crate::error::internal;
use crate::objects::CODE;
use crate::service::ControlService;
use futures_util::TryStreamExt;
use hearth_services::control::ControlError;
use hearth_services::keys::{self, FunctionRecord};
use hearth_types::{AccountId, FunctionName, FunctionVersion, Timestamp, VersionKey};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use std::collections::{BTreeSet, HashSet};

/// Most objects that one sweep removes; the next one goes on.
const SWEEP_OBJECTS_MAX: usize = 10_000;

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
        let candidates = self.unnamed_objects(None).await?;
        if candidates.is_empty() {
            return Ok(0);
        }
        // From here on no call is between storing code and naming it.
        let _no_unreferenced = self.code.unreferenced().write().await;
        let unnamed = self.unnamed_objects(Some(candidates)).await?;
        for object in &unnamed {
            match self.code.objects().delete(object).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(internal(error)),
            }
        }
        Ok(unnamed.len())
    }

    /// Old objects that no version names: all of them, or of `among`.
    async fn unnamed_objects(
        &self,
        among: Option<HashSet<ObjectPath>>,
    ) -> Result<HashSet<ObjectPath>, ControlError> {
        let mut unnamed = match among {
            Some(among) => among,
            None => self.old_objects().await?,
        };
        if !unnamed.is_empty() {
            let mut keep = |object: &str| unnamed.remove(&ObjectPath::from(object));
            self.records
                .walk(keys::VERSIONS, |_, version: FunctionVersion| {
                    keep(&version.code.zip_object);
                    keep(&version.code.image_object);
                })
                .await?;
        }
        Ok(unnamed)
    }

    async fn old_objects(&self) -> Result<HashSet<ObjectPath>, ControlError> {
        let age_ms = i64::try_from(self.orphan_age.as_millis()).unwrap_or(i64::MAX);
        let newest_ms = Timestamp::now().0.saturating_sub(age_ms);
        let prefix = ObjectPath::from(CODE);
        let mut objects = self.code.objects().list(Some(&prefix));
        let mut old = HashSet::new();
        while let Some(object) = objects.try_next().await.map_err(internal)? {
            if object.last_modified.timestamp_millis() <= newest_ms {
                old.insert(object.location);
            }
            if old.len() == SWEEP_OBJECTS_MAX {
                break;
            }
        }
        Ok(old)
    }
}

fn parse_function_key(key: &str) -> Option<(AccountId, FunctionName)> {
    let (account, name) = key.strip_prefix(keys::FUNCTIONS)?.split_once('/')?;
    Some((account.parse().ok()?, name.parse().ok()?))
}
