//! How code objects are named.

use hearth_types::AccountId;
use object_store::path::Path as ObjectPath;

/// Prefix of all code objects.
pub(crate) const CODE: &str = "code";
const ZIP: &str = "zip";
const IMAGE: &str = "erofs";

/// Keys of the two objects of one package, named by the hash of the zip and
/// walled by account: nobody can learn what others have uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CodeKeys {
    pub(crate) zip: ObjectPath,
    pub(crate) image: ObjectPath,
}

impl CodeKeys {
    pub(crate) fn new(account: &AccountId, zip_sha256: &[u8]) -> Self {
        Self::of_stem(&format!("{}/{}", Self::of_account(account), hex::encode(zip_sha256)))
    }

    /// Prefix of all packages of an account.
    pub(crate) fn of_account(account: &AccountId) -> ObjectPath {
        ObjectPath::from(format!("{CODE}/{account}"))
    }

    /// The package that `object` is of; none if it is named like no package's.
    pub(crate) fn of_object(object: &ObjectPath) -> Option<Self> {
        let (stem, extension) = object.as_ref().rsplit_once('.')?;
        [ZIP, IMAGE].contains(&extension).then(|| Self::of_stem(stem))
    }

    fn of_stem(stem: &str) -> Self {
        let key = |extension| ObjectPath::from(format!("{stem}.{extension}"));
        Self { zip: key(ZIP), image: key(IMAGE) }
    }
}
