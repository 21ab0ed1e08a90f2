//! Where the server is: an `http://host:port` URL, checked.

use std::str::FromStr;

/// Where `hearth up` listens unless told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:9070";

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    authority: String,
}

/// The URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidEndpoint {
    /// Not of the form `http://host:port`.
    #[error("an endpoint is written http://host:port")]
    Form,
    /// Encrypted endpoints need a TLS stack, which this program leaves out.
    #[error("https is not spoken by this client: use http:// on a trusted network or a tunnel")]
    Https,
}

impl Endpoint {
    /// `host:port`, for `connect` and the `Host` header.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;
    fn from_str(url: &str) -> Result<Self, InvalidEndpoint> {
        let uri: http::Uri = url.parse().map_err(|_| InvalidEndpoint::Form)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(InvalidEndpoint::Https),
            _ => return Err(InvalidEndpoint::Form),
        }
        let authority = uri.authority().ok_or(InvalidEndpoint::Form)?;
        let plain = !authority.host().is_empty() && !authority.as_str().contains('@');
        if !plain || uri.path() != "/" || uri.query().is_some() {
            return Err(InvalidEndpoint::Form);
        }
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { authority: format!("{}:{port}", authority.host()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_bare_origin_only() {
        let endpoint = |url: &str| url.parse::<Endpoint>();
        assert_eq!(endpoint(DEFAULT_URL).unwrap().authority(), "127.0.0.1:9070");
        assert_eq!(endpoint("http://hearth.lan/").unwrap().authority(), "hearth.lan:80");
        assert_eq!(endpoint("http://[::1]:9070").unwrap().authority(), "[::1]:9070");
        assert!(matches!(endpoint("https://a"), Err(InvalidEndpoint::Https)));
        for bad in ["", "127.0.0.1:9070", "http://a/x", "http://u@a", "http://a?x", "ftp://a"] {
            assert!(matches!(endpoint(bad), Err(InvalidEndpoint::Form)), "{bad}");
        }
    }
}
