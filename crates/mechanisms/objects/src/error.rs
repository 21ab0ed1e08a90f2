//! Why the object store cannot be opened, and what to do about it.

use crate::location::BadLocation;
use hearth_aws_profile::FilesError;
use std::time::Duration;

/// Why the object store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder could not be made or cleared.
    #[error("cannot prepare the object store's directory")]
    Directory(#[source] std::io::Error),
    /// The settings cannot be used.
    #[error("cannot open the object store")]
    Store(#[source] object_store::Error),
    /// A variable or a file of AWS's names no server.
    #[error("the endpoint that AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile names is none")]
    Endpoint(#[source] BadLocation),
    /// AWS's files could not be read.
    #[error("cannot find out with which credentials to use S3")]
    Files(#[source] FilesError),
    /// Nobody says with which credentials.
    #[error(
        "there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
         AWS_PROFILE to a profile of the AWS credentials file that has them"
    )]
    NoCredentials,
    /// S3 does not accept the credentials, or they may not do this.
    #[error(
        "S3 does not let these credentials read and list the bucket {bucket}: check AWS_ACCESS_KEY_ID or \
         AWS_PROFILE, the secret, the region, and the rights"
    )]
    Refused {
        /// The bucket.
        bucket: String,
        /// What S3 said.
        #[source]
        source: object_store::Error,
    },
    /// There is no such bucket.
    #[error("S3 has no bucket {bucket}: make it first")]
    NoBucket {
        /// The bucket.
        bucket: String,
        /// What S3 said.
        #[source]
        source: object_store::Error,
    },
    /// S3 cannot be reached, or fails.
    #[error("S3 does not serve the bucket {bucket}: check the endpoint and the network")]
    Unreachable {
        /// The bucket.
        bucket: String,
        /// What happened.
        #[source]
        source: object_store::Error,
    },
    /// S3 did not answer.
    #[error("S3 did not answer about the bucket {bucket} within {after:?}")]
    Silent {
        /// The bucket.
        bucket: String,
        /// How long it was waited for.
        after: Duration,
    },
}
