//! The operator's channel: account management over a Unix socket in the data
//! directory, for the owner of that directory alone. Who may open the socket may
//! do everything, so nothing of it is reachable over the public API.
//!
//! ```text
//! POST /v1/accounts                    {"name": …}  → NewKey
//! GET  /v1/accounts                                 → [AccountLine]
//! POST /v1/accounts/{id}/rotate-key                 → NewKey
//! errors                                            → {"message": …}, 4xx or 5xx
//! ```

mod client;
mod server;
mod wire;

pub(crate) use client::OperatorClient;
pub(crate) use server::OperatorSocket;
pub(crate) use wire::NewKey;

/// The socket's name in the data directory.
pub(crate) const SOCKET_NAME: &str = "operator.sock";

#[cfg(test)]
mod tests;
