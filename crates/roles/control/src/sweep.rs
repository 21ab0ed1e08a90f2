//! Removes what crashes and deletions leave behind: versions whose function
//! is gone, and code packages and snapshots that no version names.
//!
//! A package without a name may belong to a call that is about to name it, be it
//! one that the call stored or an older one that it found and uses again, in this process
//! or another:
//!
//! ```text
//!  sweep:  doom its record ─► does a version name it? ─► no: remove the record
//!  call:   find its record, not doomed ─► name it, if the record is as it was found
//! ```
//!
//! Whichever comes second sees the first. And code that was replaced may be on its way to
//! a sandbox, so it is left for some minutes.
//!
//! What goes here is the package's record. Its files, which are in the chunk store,
//! go with a later collection, for which the records are roots.

use crate::code::account_of;
use crate::records::Stored;
use crate::service::ControlService;
use hearth_services::control::ControlError;
use hearth_services::keys::{self, FunctionRecord, PackageRecord};
use hearth_services::metastore::{TXN_OPS_MAX, Txn};
use hearth_types::{AccountId, CodeLocation, FunctionName, FunctionVersion, VersionKey};
use std::collections::{BTreeSet, HashSet};
use tokio::time::Instant;

/// Most packages that one sweep removes; the next one goes on.
const SWEEP_PACKAGES_MAX: usize = 5_000;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Functions of which a deletion had left versions.
    pub functions: usize,
    /// Code packages.
    pub packages: usize,
}

impl ControlService {
    /// Removes leftovers of crashes and deletions. Run it at start, and now
    /// and then: it reads the records of all versions and packages.
    pub async fn sweep(&self) -> Result<Swept, ControlError> {
        let functions = self.sweep_versions().await?;
        let packages = self.sweep_packages().await?;
        self.sweep_snapshots().await?;
        Ok(Swept { functions, packages })
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

    async fn sweep_packages(&self) -> Result<usize, ControlError> {
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
        let doomed = self.doom(candidates).await?;
        // From here on no call names one of them; those that did meanwhile are seen.
        let named = self.named_packages().await?;
        let mut removed = 0;
        for some in doomed.chunks(TXN_OPS_MAX) {
            let of_all = |txn: Txn, (package, record): &(Package, Stored<PackageRecord>)| {
                let (key, txn) = (&package.key, txn.unchanged(&*package.key, record.revision));
                match named.contains(&package.name()) {
                    true => txn.put(&**key, keys::encode(&record.record)),
                    false => txn.delete(&**key),
                }
            };
            // If one of them is wanted again by now, the next sweep looks anew.
            if self.records.commit(some.iter().fold(Txn::new(), of_all)).await? {
                removed += some.iter().filter(|(p, _)| !named.contains(&p.name())).count();
            }
        }
        Ok(removed)
    }

    /// Dooms packages, but for those that go together with one that is changed just now. Returns them as they were,
    /// with the revision that they have now.
    async fn doom(
        &self,
        packages: HashSet<Package>,
    ) -> Result<Vec<(Package, Stored<PackageRecord>)>, ControlError> {
        let mut found = Vec::new();
        for package in packages {
            let stored = self.records.get::<PackageRecord>(&package.key).await?;
            found.extend(stored.map(|stored| (package, stored)));
        }
        let mut doomed = Vec::new();
        for some in found.chunks(TXN_OPS_MAX) {
            let doom = |txn: Txn, (package, stored): &(Package, Stored<PackageRecord>)| {
                let record = PackageRecord { doomed: true, ..stored.record.clone() };
                let txn = txn.unchanged(&*package.key, stored.revision);
                txn.put(&*package.key, keys::encode(&record))
            };
            // If one of them was changed just now, the next sweep takes the others.
            if let Some(revision) =
                self.records.commit_at(some.iter().fold(Txn::new(), doom)).await?
            {
                let of_now = |(package, stored): &(Package, Stored<PackageRecord>)| {
                    let record = PackageRecord { doomed: false, ..stored.record.clone() };
                    (package.clone(), Stored { record, revision })
                };
                doomed.extend(some.iter().map(of_now));
            }
        }
        Ok(doomed)
    }

    /// Packages that some version names.
    async fn named_packages(&self) -> Result<HashSet<(AccountId, String)>, ControlError> {
        let mut named = HashSet::new();
        let mut note = |version: FunctionVersion| {
            named.insert((version.key.account, version.code.zip_sha256_base64));
        };
        self.records.walk(keys::VERSIONS, |_, version| note(version)).await?;
        Ok(named)
    }

    /// Packages that no version names.
    async fn unnamed_packages(&self) -> Result<HashSet<Package>, ControlError> {
        let named = self.named_packages().await?;
        let mut unnamed = HashSet::new();
        let note = |key: String, code: CodeLocation| {
            if let Some(package) = Package::of(key, code).filter(|p| !named.contains(&p.name()))
                && unnamed.len() < SWEEP_PACKAGES_MAX
            {
                unnamed.insert(package);
            }
        };
        self.records.walk(keys::PACKAGES, note).await?;
        Ok(unnamed)
    }
}

/// A stored package.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Package {
    key: String,
    account: AccountId,
    zip_sha256_base64: String,
}

impl Package {
    fn of(key: String, code: CodeLocation) -> Option<Self> {
        let account = account_of(&key)?;
        Some(Self { key, account, zip_sha256_base64: code.zip_sha256_base64 })
    }

    /// What versions call it.
    fn name(&self) -> (AccountId, String) {
        (self.account.clone(), self.zip_sha256_base64.clone())
    }
}

fn parse_function_key(key: &str) -> Option<(AccountId, FunctionName)> {
    let (account, name) = key.strip_prefix(keys::FUNCTIONS)?.split_once('/')?;
    Some((account.parse().ok()?, name.parse().ok()?))
}
