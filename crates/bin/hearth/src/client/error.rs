//! Error replies of the API, as one line for the user.

use super::Reply;
use http::StatusCode;

/// The server's answer to a call that it refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}{}", hint(.code))]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The error's name, e.g. `ResourceNotFoundException`.
    pub(crate) code: String,
    /// Its text.
    pub(crate) message: String,
}

impl ApiError {
    /// Whether the thing asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }
}

/// What usually mends an error that users meet first.
fn hint(code: &str) -> &'static str {
    match code {
        "UnrecognizedClientException" | "InvalidSignatureException" => {
            " (wrong credentials for this server? its first key is in <data-dir>/credentials: \
             set AWS_SHARED_CREDENTIALS_FILE to that file)"
        }
        _ => "",
    }
}

/// Passes success on; turns anything else into an [`ApiError`].
pub(super) fn check(reply: Reply) -> anyhow::Result<Reply> {
    if reply.status.is_success() {
        return Ok(reply);
    }
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text =
        |names: &[&str]| names.iter().find_map(|name| body.get(name)?.as_str()).map(str::to_owned);
    let code = reply
        .header("x-amzn-errortype")
        // AWS may append `:http://…` to the name.
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .or_else(|| text(&["__type", "code"]))
        .unwrap_or_else(|| reply.status.to_string());
    let message = text(&["message", "Message"]).unwrap_or_else(|| "no message".to_owned());
    Err(ApiError { status: reply.status, code, message }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn reply(status: u16, errortype: Option<&'static str>, body: &'static str) -> Reply {
        let mut headers = http::HeaderMap::new();
        if let Some(name) = errortype {
            headers.insert("x-amzn-errortype", http::HeaderValue::from_static(name));
        }
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn aws_errors_keep_their_name_and_text() {
        let refused = reply(
            404,
            Some("ResourceNotFoundException:"),
            r#"{"Message":"Function not found: f"}"#,
        );
        let error = check(refused).unwrap_err().downcast::<ApiError>().unwrap();
        assert!(error.is_not_found());
        assert_eq!(error.to_string(), "ResourceNotFoundException: Function not found: f");
    }

    #[test]
    fn anything_else_is_still_one_line() {
        let error = check(reply(502, None, "<html>")).unwrap_err();
        assert_eq!(error.to_string(), "502 Bad Gateway: no message");
    }
}
