//! Function ARNs: `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.

use crate::{AccountId, FunctionName};
use std::fmt;

/// The name under which AWS clients know a function or one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArn {
    /// The region that the caller signed for; any is accepted.
    pub region: String,
    /// The owner.
    pub account: AccountId,
    /// The function.
    pub name: FunctionName,
    /// A version, `$LATEST` or an alias, when the ARN is qualified.
    pub qualifier: Option<String>,
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)?;
        match &self.qualifier {
            Some(q) => write!(f, ":{q}"),
            None => Ok(()),
        }
    }
}
