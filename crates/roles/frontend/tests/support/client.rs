//! A small HTTP client that signs with `aws-sigv4`, one connection per request.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::SystemTime;

/// An account's client.
pub struct Client {
    pub address: SocketAddr,
    pub access_key: String,
    pub secret: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    /// Status and error code.
    pub fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.header("x-amzn-errortype"))
    }
    pub fn message(&self) -> String {
        let json = self.json();
        let text = json.get("message").or(json.get("Message"));
        text.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

impl Client {
    /// A signed request, not sent yet.
    pub fn signed(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let url = format!("http://{}{path}", self.address);
        let identity = Credentials::new(&self.access_key, &self.secret, None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Double;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("local")
            .name("lambda")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let signable =
            SignableRequest::new(method, &url, headers.iter().copied(), SignableBody::Bytes(&body))
                .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body)).unwrap();
        for (name, value) in instructions.headers() {
            request.headers_mut().insert(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        request
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        send(self.address, self.signed(method, path, headers, body.into())).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Creates a function that behaves as its handler is named.
    pub async fn create(&self, name: &str, handler: &str) -> Answer {
        self.send("POST", "/2015-03-31/functions", &[], function(name, handler).to_string()).await
    }

    pub async fn invoke(&self, name: &str, payload: &str) -> Answer {
        self.invoke_with(name, &[], payload.to_owned()).await
    }

    pub async fn invoke_with(
        &self,
        name: &str,
        headers: &[(&str, &str)],
        payload: impl Into<Bytes>,
    ) -> Answer {
        self.send("POST", &format!("/2015-03-31/functions/{name}/invocations"), headers, payload)
            .await
    }
}

/// A body of `CreateFunction`.
pub fn function(name: &str, handler: &str) -> Value {
    json!({
        "FunctionName": name,
        "Runtime": "python3.13",
        "Role": "arn:aws:iam::111111111111:role/any",
        "Handler": handler,
        "Code": { "ZipFile": STANDARD.encode(b"PK\x05\x06 a zip, as far as the fake cares") },
    })
}

/// The head of a request as text, without the empty line that ends it.
pub fn head(request: &Request<Full<Bytes>>) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head
}

/// Sends one request on a connection of its own.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}
