//! Responses: from contract values to the JSON that SDKs expect.

mod alias;
mod configuration;
mod listing;
mod small;

pub use alias::{alias, aliases};
pub use configuration::{ArnForm, Configuration};
pub use listing::{functions, versions};
pub use small::{account_settings, get_function, tags};

use bytes::Bytes;
use serde::Serialize;

/// A response's body.
pub fn json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("responses are maps of strings and numbers").into()
}
