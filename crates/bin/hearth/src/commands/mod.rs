//! The commands, one file each: its arguments, and what it does with them.

pub(crate) mod accounts;
pub(crate) mod bench;
pub(crate) mod cluster;
pub(crate) mod delete;
pub(crate) mod deploy;
pub(crate) mod doctor;
pub(crate) mod functions;
pub(crate) mod gc;
pub(crate) mod images;
pub(crate) mod invoke;
pub(crate) mod logs;
pub(crate) mod page_server;
pub(crate) mod sandboxes;
pub(crate) mod sim;
pub(crate) mod snapshots;
mod values;
