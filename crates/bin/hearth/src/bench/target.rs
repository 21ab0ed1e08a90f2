//! The function under test: a signed request, sent again and again.

use super::samples::Outcome;
use crate::client::{Client, Connection, FunctionError, lambda};
use crate::timing::Timing;
use anyhow::Context;
use bytes::Bytes;
use hearth_lambda_api::request::START_HEADER;
use hearth_types::{FunctionName, StartKind};
use http::{HeaderMap, HeaderValue, Method, Request};
use std::time::Duration;
use tokio::time::Instant;

/// A signature says the second it was made in, so a new one each second is
/// what a client that signs every request would send.
const SIGNATURE_AGE_MAX: Duration = Duration::from_secs(1);

/// What is invoked.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) name: FunctionName,
    pub(crate) qualifier: Option<String>,
    pub(crate) payload: Bytes,
}

/// One connection to the function, with a request ready to be sent.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    target: &'a Target,
    connection: Connection,
    request: Request<Bytes>,
    quickest: StartKind,
    signed: Instant,
}

impl Target {
    /// Opens a connection.
    pub(super) async fn caller(&self) -> anyhow::Result<Caller<'_>> {
        self.caller_for(StartKind::Warm).await
    }

    /// Opens one whose invokes are served by no quicker kind of start.
    pub(super) async fn caller_for(&self, quickest: StartKind) -> anyhow::Result<Caller<'_>> {
        Ok(Caller {
            target: self,
            connection: self.client.connect().await?,
            request: self.request(quickest)?,
            quickest,
            signed: Instant::now(),
        })
    }

    fn request(&self, quickest: StartKind) -> anyhow::Result<Request<Bytes>> {
        let path = lambda::invoke_path(&self.name, self.qualifier.as_deref());
        let mut headers = HeaderMap::new();
        if quickest != StartKind::Warm {
            headers.insert(START_HEADER, HeaderValue::from_static(quickest.as_str()));
        }
        self.client.request(Method::POST, &path, &headers, self.payload.clone())
    }
}

impl Caller<'_> {
    /// Invokes once. Timed is what any client has to wait for: from handing
    /// the request to the connection until the last byte of the reply.
    pub(super) async fn invoke(&mut self) -> anyhow::Result<Outcome> {
        if self.signed.elapsed() >= SIGNATURE_AGE_MAX {
            self.request = self.target.request(self.quickest)?;
            self.signed = Instant::now();
        }
        if !self.connection.is_open() {
            self.connection = self.target.client.connect().await?;
        }
        let request = self.request.clone();
        let sent = Instant::now();
        let reply = self.connection.send(request).await?;
        let total = sent.elapsed();
        if !reply.status.is_success() {
            let name = reply.header("x-amzn-errortype").unwrap_or_else(|| reply.status.as_str());
            return Ok(Outcome::Failed(name.split(':').next().unwrap_or(name).to_owned()));
        }
        if let Some(error) = FunctionError::of(&reply) {
            return Ok(Outcome::Failed(format!("function error {}", error.sort())));
        }
        let timing = Timing::of(&reply, total)
            .context("the server does not say where the time went: is it a Hearth server?")?;
        Ok(Outcome::Answered(timing))
    }
}
