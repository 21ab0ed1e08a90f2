//! S3: with which credentials, how patiently, and whether it answers.
//!
//! What AWS's tools know is used as they do. First the variables (`AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL_S3`,
//! those of web identities and containers), then the profile in their files, then, where
//! S3 is AWS's own, the role of the machine.

use crate::error::OpenError;
use crate::location::Endpoint;
use hearth_aws_profile::{Env, Profile};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, RetryConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a call is tried again after failures that pass. Callers wait for it: short.
pub const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often.
const RETRIES_MAX: usize = 5;
/// The pause before the first such try, and the longest.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long an answer may pause.
const READ_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take as a whole: the largest image over a slow network.
const REQUEST_MAX: Duration = Duration::from_secs(600);
/// How long opening waits for S3, all tries together.
const CHECK_MAX: Duration = Duration::from_secs(30);

/// Nobody's name.
const NO_OBJECT: &str = "no-object-has-this-name";
/// How S3 says that the bucket is missing, rather than the object.
const NO_BUCKET: &str = "NoSuchBucket";

/// Variables, and what they set.
const VARIABLES: [(&str, Key); 11] = [
    ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
    ("AWS_SESSION_TOKEN", Key::Token),
    ("AWS_DEFAULT_REGION", Key::DefaultRegion),
    ("AWS_REGION", Key::Region),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", Key::RoleArn),
    ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Key::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
];
/// The settings of a profile, and what they set.
const SETTINGS: [(&str, Key); 4] = [
    ("aws_access_key_id", Key::AccessKeyId),
    ("aws_secret_access_key", Key::SecretAccessKey),
    ("aws_session_token", Key::Token),
    ("region", Key::Region),
];
/// Each says that there are credentials.
const CREDENTIALS: [Key; 4] = [
    Key::AccessKeyId,
    Key::WebIdentityTokenFile,
    Key::ContainerCredentialsRelativeUri,
    Key::ContainerCredentialsFullUri,
];

/// The store, of which nothing was asked yet.
pub(crate) fn build(
    bucket: &str,
    prefix: &ObjectPath,
    endpoint: Option<&Endpoint>,
    env: Env<'_>,
) -> Result<Arc<dyn ObjectStore>, OpenError> {
    let profile = Profile::load(None, env).map_err(OpenError::Files)?;
    let named = match endpoint {
        Some(endpoint) => Some(endpoint.clone()),
        None => endpoint_of(&profile, env)?,
    };
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_MAX)
        .with_read_timeout(READ_MAX)
        .with_timeout(REQUEST_MAX);
    let backoff = BackoffConfig { init_backoff: BACKOFF, max_backoff: BACKOFF_MAX, base: 2. };
    let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_MAX };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_retry(retry);
    // Before anything else says so: over plain HTTP only where an endpoint asks for it.
    builder = builder.with_allow_http(named.as_ref().is_some_and(Endpoint::is_plain));
    let is_elsewhere = named.is_some();
    if let Some(named) = named {
        builder = builder.with_endpoint(named.as_str());
    }
    let mut has_credentials = false;
    for (key, value) in settings(&profile, env) {
        has_credentials |= CREDENTIALS.contains(&key);
        builder = builder.with_config(key, value);
    }
    // A machine's role is AWS's; asking for one elsewhere only hangs.
    if !has_credentials && is_elsewhere {
        return Err(OpenError::NoCredentials);
    }
    let store = builder.build().map_err(OpenError::Store)?;
    Ok(match prefix.as_ref().is_empty() {
        true => Arc::new(store),
        false => Arc::new(PrefixStore::new(store, prefix.clone())),
    })
}

fn settings(profile: &Profile, env: Env<'_>) -> Vec<(Key, String)> {
    let variable = |name: &str| env(name).filter(|value| !value.is_empty());
    let mut settings: Vec<(Key, String)> =
        VARIABLES.into_iter().filter_map(|(name, key)| Some((key, variable(name)?))).collect();
    // Half of one and half of another would be no credentials at all.
    let has_credentials = settings.iter().any(|(key, _)| CREDENTIALS.contains(key));
    for (name, key) in SETTINGS {
        let is_region = key == Key::Region;
        let has_region =
            settings.iter().any(|(set, _)| matches!(set, Key::Region | Key::DefaultRegion));
        let is_set = if is_region { has_region } else { has_credentials };
        if let (false, Some(value)) = (is_set, profile.get(name)) {
            settings.push((key, value));
        }
    }
    settings
}

fn endpoint_of(profile: &Profile, env: Env<'_>) -> Result<Option<Endpoint>, OpenError> {
    let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].into_iter().find_map(env);
    let named = named.or_else(|| profile.get("endpoint_url")).filter(|named| !named.is_empty());
    named.map(|named| named.parse().map_err(OpenError::Endpoint)).transpose()
}

/// Asks for an object that is not there, to learn now what would go wrong later. S3 says
/// that it is not there only to those who may read and list.
pub(crate) async fn check(store: &dyn ObjectStore, bucket: &str) -> Result<(), OpenError> {
    let bucket = bucket.to_owned();
    match timeout(CHECK_MAX, store.get(&ObjectPath::from(NO_OBJECT))).await {
        Ok(Err(source @ Error::NotFound { .. })) => match source.to_string().contains(NO_BUCKET) {
            true => Err(OpenError::NoBucket { bucket, source }),
            false => Ok(()),
        },
        Ok(Err(source @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }))) => {
            Err(OpenError::Refused { bucket, source })
        }
        Ok(Err(source)) => Err(OpenError::Unreachable { bucket, source }),
        Ok(Ok(_somebody_made_it)) => Ok(()),
        Err(_elapsed) => Err(OpenError::Silent { bucket, after: CHECK_MAX }),
    }
}
