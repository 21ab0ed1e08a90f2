//! The caller's side of the operator's socket.

use super::keeper::Collection;
use super::wire::{AccountLine, Failure, NewAccount, NewKey, Shown, SnapshotLine, Verified};
use crate::client::Connection;
use anyhow::Context;
use bytes::Bytes;
use hearth_types::{AccountId, FunctionName, Version};
use http::{Method, Request};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// An open channel to a running server.
#[derive(Debug)]
pub(crate) struct OperatorClient {
    connection: Connection,
}

impl OperatorClient {
    /// Connects to the server that runs on this data directory.
    pub(crate) async fn connect(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(super::SOCKET_NAME);
        Ok(Self { connection: Connection::unix(&path).await? })
    }

    /// Makes an account with a first key.
    pub(crate) async fn create(&mut self, name: String) -> anyhow::Result<NewKey> {
        let body = serde_json::to_vec(&NewAccount { name })?;
        self.call(Method::POST, "/v1/accounts", body.into()).await
    }

    /// Lists all accounts.
    pub(crate) async fn list(&mut self) -> anyhow::Result<Vec<AccountLine>> {
        self.call(Method::GET, "/v1/accounts", Bytes::new()).await
    }

    /// Makes a new key and revokes the older ones.
    pub(crate) async fn rotate_key(&mut self, account: &AccountId) -> anyhow::Result<NewKey> {
        let path = format!("/v1/accounts/{account}/rotate-key");
        self.call(Method::POST, &path, Bytes::new()).await
    }

    /// Lists all snapshots.
    pub(crate) async fn snapshots(&mut self) -> anyhow::Result<Vec<SnapshotLine>> {
        self.call(Method::GET, "/v1/snapshots", Bytes::new()).await
    }

    /// Everything about a version's snapshot.
    pub(crate) async fn snapshot(
        &mut self,
        account: Option<&AccountId>,
        (function, version): (&FunctionName, Version),
        map: bool,
    ) -> anyhow::Result<Shown> {
        let account = account.map(|account| format!("account={account}"));
        let query: Vec<_> = account.into_iter().chain(map.then(|| "map".to_owned())).collect();
        let path = format!("/v1/snapshots/{function}/{version}?{}", query.join("&"));
        self.call(Method::GET, &path, Bytes::new()).await
    }

    /// Everything about a layer, by the beginning of its name.
    pub(crate) async fn layer(&mut self, name: &str, map: bool) -> anyhow::Result<Shown> {
        let path = format!("/v1/layers/{name}{}", if map { "?map" } else { "" });
        self.call(Method::GET, &path, Bytes::new()).await
    }

    /// Gives back what nothing needs; with this grace, or that of the server.
    pub(crate) async fn collect(&mut self, grace: Option<Duration>) -> anyhow::Result<Collection> {
        let query = grace.map(|grace| format!("?grace={}", grace.as_secs()));
        let path = format!("/v1/gc{}", query.unwrap_or_default());
        self.call(Method::POST, &path, Bytes::new()).await
    }

    /// Looks for damage in everything that snapshots need.
    pub(crate) async fn verify(&mut self) -> anyhow::Result<Verified> {
        self.call(Method::POST, "/v1/verify", Bytes::new()).await
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "hearth")
            .body(body)?;
        let reply = self.connection.send(request).await?;
        if reply.status.is_success() {
            serde_json::from_slice(&reply.body).context("the server's reply is not as expected")
        } else {
            match serde_json::from_slice::<Failure>(&reply.body) {
                Ok(failure) => anyhow::bail!("{}", failure.message),
                Err(_) => anyhow::bail!("the server answered {}", reply.status),
            }
        }
    }
}
