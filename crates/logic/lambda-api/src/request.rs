//! Requests: from bytes, headers and query to validated contract values.

mod aliases;
mod body;
mod create_function;
mod invoke;
mod paging;
mod publish_version;
mod query;
mod settings;
mod tags;
mod unsupported;
mod update_code;
mod update_settings;

pub use aliases::{alias_name, create_alias, list_aliases, update_alias};
pub use body::{REQUEST_BYTES_MAX, SMALL_REQUEST_BYTES_MAX, too_large};
pub use create_function::create_function;
pub use invoke::{InvocationType, InvokeRequest, START_HEADER, invoke, payload_too_large};
pub use paging::{Paging, list_functions, paging};
pub use publish_version::publish_version;
pub use query::query_value;
pub use tags::{tag_resource, untag_resource};
pub use update_code::update_code;
pub use update_settings::update_settings;
