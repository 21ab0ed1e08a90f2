//! What tests of tables need.

use crate::moment::Moment;
use hearth_types::{
    CodeLocation, FunctionVersion, RevisionId, Runtime, Timestamp, Version, VersionKey,
};
use std::time::Duration;

/// So many seconds after the begin.
pub fn moment(seconds: u64) -> Moment {
    Moment { at: Duration::from_secs(seconds), day: Timestamp(seconds as i64 * 1_000) }
}

/// The function `f` of an account.
pub fn version_of(account: &str, revision: RevisionId) -> FunctionVersion {
    let key = VersionKey {
        account: account.parse().unwrap_or_else(|_| panic!("{account} is no account")),
        function: "f".parse().unwrap_or_else(|_| panic!("f is a name")),
        version: Version::Latest,
        revision,
    };
    let code = CodeLocation {
        zip_sha256_base64: String::new(),
        zip_bytes: 0,
        zip_file: String::new(),
        image_file: String::new(),
        image_bytes: 0,
    };
    let (region, handler) = ("local".to_owned(), "a.b".to_owned());
    FunctionVersion::with_defaults(key, region, Runtime::Python313, handler, code)
}
