//! An account and its client.

use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::{Client, Config};
use std::time::Duration;

/// Longest that any call may take; a call that hangs is a failed test.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Who calls, and how.
#[derive(Clone)]
pub struct Account {
    /// Its client; retries are off, but for [`as_usual`](Self::as_usual).
    pub client: Client,
    /// What signs.
    pub credentials: Credentials,
    /// Where to.
    pub endpoint: String,
}

impl Account {
    /// A client of `endpoint` that signs with this key.
    pub fn new(endpoint: &str, access_key_id: &str, secret_access_key: &str) -> Self {
        Self::retrying(endpoint, access_key_id, secret_access_key, RetryConfig::disabled())
    }

    /// The same account, as a client that tries again as often as SDKs do by default.
    pub fn as_usual(&self) -> Self {
        let (id, secret) = (self.credentials.access_key_id(), self.credentials.secret_access_key());
        Self::retrying(&self.endpoint, id, secret, RetryConfig::standard())
    }

    fn retrying(
        endpoint: &str,
        access_key_id: &str,
        secret_access_key: &str,
        retries: RetryConfig,
    ) -> Self {
        let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "test");
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("local"))
            .credentials_provider(credentials.clone())
            .endpoint_url(endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(retries)
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build())
            .build();
        Self { client: Client::from_conf(config), credentials, endpoint: endpoint.to_owned() }
    }
}
