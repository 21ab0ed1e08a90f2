//! Signs requests with AWS Signature Version 4, as SDKs do.

use anyhow::Context;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use hearth_ambient::clock;
use http::Request;
use std::time::UNIX_EPOCH;

/// The service that every Hearth call is signed for.
const SERVICE: &str = "lambda";

/// Signs for one caller and region.
#[derive(Debug)]
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
}

impl Signer {
    /// A signer with these credentials.
    pub(crate) fn new(credentials: Credentials, region: String) -> Self {
        Self { credentials, region }
    }

    /// Adds the signature's headers. The request has a `Host` header and a
    /// path for its URI.
    pub(crate) fn sign(&self, request: &mut Request<Bytes>) -> anyhow::Result<()> {
        let identity = self.credentials.clone().into();
        let mut settings = SigningSettings::default();
        // With the body's hash in the head, the server can tell from the head alone
        // whose request it is, and need not take the body on trust.
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(UNIX_EPOCH + clock::unix_now())
            .settings(settings)
            .build()
            .context("signing")?
            .into();
        let host = request.headers()[http::header::HOST].to_str().context("host header")?;
        let url = format!("http://{host}{}", request.uri());
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| Ok((name.as_str(), value.to_str()?)))
            .collect::<Result<Vec<_>, http::header::ToStrError>>()
            .context("a header to sign is not text")?;
        let signable = SignableRequest::new(
            request.method().as_str(),
            url,
            headers.into_iter(),
            SignableBody::Bytes(request.body()),
        )
        .context("signing")?;
        let (instructions, _) = sign(signable, &params).context("signing")?.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_host_and_body_for_lambda() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let signer = Signer::new(credentials, "local".into());
        let mut request = Request::post("/2015-03-31/functions/f/invocations?Qualifier=%24LATEST")
            .header("host", "127.0.0.1:9070")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        signer.sign(&mut request).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
        assert!(authorization.contains("/local/lambda/aws4_request"));
        assert!(authorization.contains("host;x-amz-content-sha256;x-amz-date"));
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(request.headers()["x-amz-content-sha256"], hash);
        assert!(request.headers().contains_key("x-amz-date"));
        assert_eq!(request.uri().query(), Some("Qualifier=%24LATEST"));
    }
}
