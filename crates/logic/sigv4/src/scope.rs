//! The credential scope: `AKID/YYYYMMDD/REGION/lambda/aws4_request`.

use crate::{SERVICE, SigV4Error};

/// The last part of every scope.
pub(crate) const TERMINATOR: &str = "aws4_request";
/// Longest region name that is accepted; it becomes part of ARNs.
const REGION_LEN_MAX: usize = 32;
/// Longest access key id that there can be (IAM API, `AccessKey`).
const ACCESS_KEY_LEN_MAX: usize = 128;

/// Who signed, for which day and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
}

impl<'a> Scope<'a> {
    /// Reads a `Credential` and checks all of it that can be checked without
    /// the key. `date_time` is the request's own, which the scope must match.
    pub(crate) fn parse(credential: &'a str, date_time: &str) -> Result<Self, SigV4Error> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, date, region, service, terminator] = parts[..] else {
            return Err(SigV4Error::Incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term."
                    .into(),
            ));
        };
        if service != SERVICE {
            return Err(SigV4Error::Invalid(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        if terminator != TERMINATOR {
            return Err(SigV4Error::Invalid(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
            )));
        }
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if region.is_empty() || region.len() > REGION_LEN_MAX || !region.bytes().all(legal) {
            return Err(SigV4Error::Invalid(
                "Credential should be scoped to a valid region.".into(),
            ));
        }
        // Both are known to be ASCII of fixed length once they are equal.
        if date_time.get(..8) != Some(date) {
            return Err(SigV4Error::Invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP."
                    .into(),
            ));
        }
        // No such key was ever given out, and it would be too long to look up.
        if access_key.len() > ACCESS_KEY_LEN_MAX {
            return Err(SigV4Error::UnknownToken);
        }
        Ok(Self { access_key, date, region })
    }
}
