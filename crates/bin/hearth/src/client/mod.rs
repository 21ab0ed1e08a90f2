//! A client of the public API, used by every command but the server's own.
//!
//! ```text
//! ApiArgs ──► Endpoint, credentials, region ──► Client ──► signed HTTP/1.1
//! ```
//!
//! It speaks the AWS Lambda API and signs as an SDK does, so a command needs
//! nothing that a remote user does not have.

mod connection;
mod credentials;
mod endpoint;
mod error;
mod function_error;
pub(crate) mod lambda;
mod sign;

pub(crate) use connection::{ConnectError, Connection, Reply};
pub(crate) use error::ApiError;
pub(crate) use function_error::FunctionError;
pub(crate) use sign::Signer;

use anyhow::Context;
use bytes::Bytes;
use endpoint::Endpoint;
use http::{HeaderMap, Method, Request};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

/// How to reach and whom to speak for.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ApiArgs {
    /// The server [else AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL, the profile's endpoint_url,
    /// http://127.0.0.1:9070]
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Profile in the AWS credential and config files [else AWS_PROFILE, default]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Region to sign for; Hearth accepts any [else AWS_REGION, the profile's, local]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

/// A signed-in client; keeps one connection and reopens it when it is gone.
#[derive(Debug)]
pub(crate) struct Client {
    endpoint: Endpoint,
    signer: Signer,
    connection: Mutex<Option<Connection>>,
}

impl Client {
    /// Resolves endpoint, credentials and region; does not connect yet.
    pub(crate) fn new(args: &ApiArgs) -> anyhow::Result<Self> {
        let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let profile = hearth_aws_profile::Profile::load(args.profile.as_deref(), &env)?;
        let url = args
            .endpoint_url
            .clone()
            .or_else(|| env("AWS_ENDPOINT_URL_LAMBDA"))
            .or_else(|| env("AWS_ENDPOINT_URL"))
            .or_else(|| profile.get("endpoint_url"))
            .unwrap_or_else(|| endpoint::DEFAULT_URL.to_owned());
        let endpoint: Endpoint = url.parse().with_context(|| format!("endpoint {url:?}"))?;
        let region = args
            .region
            .clone()
            .or_else(|| env("AWS_REGION"))
            .or_else(|| env("AWS_DEFAULT_REGION"))
            .or_else(|| profile.get("region"))
            .unwrap_or_else(|| "local".to_owned());
        let credentials = credentials::resolve(args.profile.is_some(), &env, &profile)?;
        Ok(Self {
            endpoint,
            signer: Signer::new(credentials, region),
            connection: Mutex::default(),
        })
    }

    /// A connection of the caller's own, for measurements.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        Connection::tcp(self.endpoint.authority()).await
    }

    /// A signed request, ready to be sent once within five minutes.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Request<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, self.endpoint.authority())
            .body(body)?;
        request.headers_mut().extend(headers.clone());
        self.signer.sign(&mut request)?;
        Ok(request)
    }

    /// Sends a signed request and reads the whole reply; an error reply is an
    /// [`ApiError`].
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Reply> {
        let request = self.request(method, path, headers, body)?;
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(kept) if kept.is_open() => kept,
            _ => self.connect().await?,
        };
        let reply = connection.send(request).await?;
        *slot = Some(connection);
        error::check(reply)
    }

    /// Calls an operation that takes and returns JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<T> {
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let mut headers = HeaderMap::new();
        if body.is_some() {
            headers.insert(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static("application/json"),
            );
        }
        let reply = self.send(method, path, &headers, bytes.into()).await?;
        serde_json::from_slice(&reply.body).context("the server's reply is not what was expected")
    }
}

/// Percent-encodes one path segment or query value.
pub(crate) fn encode(text: &str) -> impl std::fmt::Display + '_ {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP)
}
