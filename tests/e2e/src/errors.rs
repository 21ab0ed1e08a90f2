//! Errors of the API, as the SDK shows them.

use anyhow::{Result, bail, ensure};
use aws_sdk_lambda::config::http::HttpResponse;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};

/// An error that the server answered with.
#[derive(Debug)]
pub struct ErrorSeen {
    /// `x-amzn-errortype`.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// Its text.
    pub message: String,
    /// The body, as sent.
    pub body: String,
}

impl ErrorSeen {
    /// Takes the server's error out of a call's result. A success, and an error
    /// that is not the server's (no connection, timeout), is a failed test.
    pub fn in_result<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Result<Self>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let error = match result {
            Ok(_) => bail!("the call succeeded"),
            Err(SdkError::ServiceError(error)) => error,
            Err(other) => bail!(anyhow::Error::new(other).context("no answer of the server's")),
        };
        let body = error.raw().body().bytes().unwrap_or_default();
        Ok(Self {
            code: error.err().code().unwrap_or_default().to_owned(),
            status: error.raw().status().as_u16(),
            message: error.err().message().unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(body).into_owned(),
        })
    }
}

/// Checks that a call was refused with this error and returns it.
pub fn refused<T, E>(
    code: &str,
    status: u16,
    result: Result<T, SdkError<E, HttpResponse>>,
) -> Result<ErrorSeen>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let seen = ErrorSeen::in_result(result)
        .map_err(|error| error.context(format!("expected {code} ({status})")))?;
    ensure!(seen.code == code && seen.status == status, "expected {code} ({status}), got {seen:?}");
    ensure!(!seen.message.is_empty(), "{code} says nothing");
    Ok(seen)
}
