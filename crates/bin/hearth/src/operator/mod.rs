//! The operator's channel: accounts and snapshots over a Unix socket in the data
//! directory, for the owner of that directory alone. Who may open the socket may
//! do everything, so nothing of it is reachable over the public API.
//!
//! ```text
//! POST /v1/accounts                    {"name": …}       → NewKey
//! GET  /v1/accounts                                      → [AccountLine]
//! POST /v1/accounts/{id}/rotate-key                      → NewKey
//! GET  /v1/snapshots                                     → [SnapshotLine]
//! GET  /v1/snapshots/{function}/{version}?account=…&map  → Shown
//! GET  /v1/layers/{beginning of its name}?map            → Shown
//! POST /v1/gc                                            → Collection
//! POST /v1/verify                                        → Verified
//! errors                                                 → {"message": …}, 4xx or 5xx
//! ```

mod client;
mod keeper;
mod routes;
mod server;
mod snapshots;
mod wire;

pub(crate) use client::OperatorClient;
pub(crate) use keeper::{Collection, Keeper};
pub(crate) use server::{Desk, OperatorSocket};
pub(crate) use snapshots::SnapshotDesk;
pub(crate) use wire::{Link, NewKey, Shown, SnapshotLine, Verified};

/// The socket's name in the data directory.
pub(crate) const SOCKET_NAME: &str = "operator.sock";

#[cfg(test)]
mod tests;
