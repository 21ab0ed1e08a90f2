//! What tests of any crate need.

use crate::{CodeLocation, FunctionVersion, RevisionId, Runtime, Version, VersionKey};

/// A version of a function, with defaults for all that its key does not say.
pub fn version_of(
    account: &str,
    function: &str,
    version: Version,
    revision: RevisionId,
) -> FunctionVersion {
    let key = VersionKey {
        account: account.parse().unwrap_or_else(|_| panic!("{account} is no account")),
        function: function.parse().unwrap_or_else(|_| panic!("{function} is no name")),
        version,
        revision,
    };
    let code = CodeLocation {
        zip_sha256_base64: String::new(),
        zip_bytes: 0,
        zip_file: String::new(),
        image_file: String::new(),
        image_bytes: 0,
    };
    let (region, handler) = ("local".to_owned(), "app.handler".to_owned());
    FunctionVersion::with_defaults(key, region, Runtime::Python313, handler, code)
}
