//! What tests of tables need.

use crate::moment::Moment;
use hearth_types::{FunctionVersion, RevisionId, Timestamp, Version};
use std::time::Duration;

/// So many seconds after the begin.
pub fn moment(seconds: u64) -> Moment {
    Moment { at: Duration::from_secs(seconds), day: Timestamp(seconds as i64 * 1_000) }
}

/// The function `f` of an account.
pub fn version_of(account: &str, revision: RevisionId) -> FunctionVersion {
    hearth_types::testing::version_of(account, "f", Version::Latest, revision)
}
