//! The first call of every connection, which every server answers. A TLS client believes
//! itself connected before its server has looked at its certificate; after this answer
//! it is, and whatever failed before certainly reached no handler.

use crate::method::Method;
use serde::{Deserialize, Serialize};

/// The call.
pub(crate) const HELLO: Method =
    Method::new("hearth.Rpc/Hello").request_bytes_max(4096).answer_bytes_max(4096);

/// How messages are framed and packed; a version that cannot speak to this one says 2.
pub(crate) const PROTOCOL: u32 = 1;

/// What both say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
}
