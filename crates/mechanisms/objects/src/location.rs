//! Where the object store is, in one text.
//!
//! ```text
//! /var/lib/hearth/objects     a folder
//! file:///var/lib/…           the same
//! s3://BUCKET                 a bucket
//! s3://BUCKET/PREFIX          what lies under a prefix in one
//! ```

use object_store::path::Path as ObjectPath;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How long a bucket's name is.
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// Where the object store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of S3.
    S3 {
        /// Its name.
        bucket: String,
        /// What all objects' names begin with; may be empty.
        prefix: ObjectPath,
    },
}

/// Not a place for objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// Another kind of place.
    #[error("{0:?} is neither a folder nor s3://BUCKET/PREFIX")]
    Scheme(String),
    /// A folder is named by a path from the root.
    #[error("{0:?} names no folder: write file:///PATH")]
    File(String),
    /// Not a bucket's name.
    #[error("{0:?} is no name of a bucket: 3 to 63 small letters, digits, '-' and '.'")]
    Bucket(String),
    /// Not a prefix.
    #[error("{0:?} is no prefix: names between single slashes")]
    Prefix(String),
    /// Not the address of a server.
    #[error("{0:?} is no endpoint: write http://HOST:PORT or https://HOST")]
    Endpoint(String),
}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Ok(Self::S3 { bucket: checked_bucket(bucket)?, prefix: checked_prefix(prefix)? })
            }
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            Some(("file", _)) => Err(BadLocation::File(text.to_owned())),
            Some(_) => Err(BadLocation::Scheme(text.to_owned())),
            None if text.is_empty() => Err(BadLocation::Scheme(text.to_owned())),
            None => Ok(Self::Folder(text.into())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{}", dir.display()),
            Self::S3 { bucket, prefix } if prefix.as_ref().is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

fn checked_bucket(bucket: &str) -> Result<String, BadLocation> {
    let is_fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.".contains(&c);
    match BUCKET_BYTES.contains(&bucket.len()) && bucket.bytes().all(is_fine) {
        true => Ok(bucket.to_owned()),
        false => Err(BadLocation::Bucket(bucket.to_owned())),
    }
}

fn checked_prefix(prefix: &str) -> Result<ObjectPath, BadLocation> {
    let bad = || BadLocation::Prefix(prefix.to_owned());
    let path = ObjectPath::parse(prefix).map_err(|_| bad())?;
    // What it would write in another way is not what was meant.
    (path.as_ref() == prefix.trim_end_matches('/')).then_some(path).ok_or_else(bad)
}

/// Where a server of S3's protocol is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// As a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what is sent can be read on the way.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl FromStr for Endpoint {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let is_fine = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.path_and_query().is_none_or(|p| p == "/")
        });
        match is_fine {
            true => Ok(Self(text.trim_end_matches('/').to_owned())),
            false => Err(BadLocation::Endpoint(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_written() {
        for (text, written) in [
            ("/a/b", "/a/b"),
            ("a", "a"),
            ("file:///a/b", "/a/b"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://my.bucket-1/a/b", "s3://my.bucket-1/a/b"),
            ("s3://bucket/a/", "s3://bucket/a"),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), written);
            assert_eq!(written.parse(), Ok(location));
        }
        for wrong in [
            "",
            "gs://bucket",
            "https://bucket",
            "file://a",
            "s3://",
            "s3://ab",
            "s3://Bucket",
            "s3://bucket//a",
            "s3://bucket/../a",
            "s3://bucket/a//b",
            "s3://buck et",
            "://x",
        ] {
            assert!(wrong.parse::<Location>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn endpoints_are_servers() {
        for (text, is_plain) in [("http://127.0.0.1:9000", true), ("https://s3.example/", false)] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.as_str(), text.trim_end_matches('/'));
            assert_eq!(endpoint.is_plain(), is_plain);
        }
        for wrong in ["", "127.0.0.1:9000", "s3://a", "http://", "http://a/b", "http://a/?x"] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
    }
}
