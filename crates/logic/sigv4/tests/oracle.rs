//! Verifies what AWS's own signer signs, over random requests, and refuses
//! every mutation of it.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use hearth_sigv4::{BodyHash, HttpRequest, SecretKey, SigV4Error, SignedRequest};
use hearth_types::{Secret, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

const HOST: &str = "127.0.0.1:9070";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request as the server receives it.
#[derive(Clone, Debug)]
struct Wire {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Wire {
    fn verify(&self, secret: &str, now: Timestamp) -> Result<(), SigV4Error> {
        let http = HttpRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        };
        let signed = SignedRequest::parse(http, now)?;
        assert_eq!(signed.access_key(), "AKIATEST");
        assert_eq!(signed.region(), "eu-north-1");
        let key = SecretKey::new(Secret::new(secret.into()));
        signed.verify_head(&key)?.verify_body(&BodyHash::of(&self.body))
    }

    /// What is known before the body: whether the signature is proven.
    fn verify_head(&self, secret: &str) -> Result<bool, SigV4Error> {
        let http = HttpRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        };
        let key = SecretKey::new(Secret::new(secret.into()));
        let signed = SignedRequest::parse(http, now(T as i64))?;
        signed.verify_head(&key).map(|head| head.is_proven())
    }
}

fn at(unix_s: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s)
}

fn now(unix_s: i64) -> Timestamp {
    Timestamp(unix_s * 1000)
}

const T: u64 = 1_767_225_600;

/// Signs with AWS's signer and returns what goes over the wire.
fn signed(wire: &Wire, presigned_s: Option<u64>, token: Option<&str>) -> Wire {
    let token = token.map(str::to_owned);
    let identity = Credentials::new("AKIATEST", SECRET, token, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Double;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
    if let Some(s) = presigned_s {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(s));
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-north-1")
        .name("lambda")
        .time(at(T))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let mark = if wire.query.is_empty() { "" } else { "?" };
    let url = format!("http://{HOST}{}{mark}{}", wire.path, wire.query);
    let headers = wire.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap()));
    let body = match wire.headers.get("x-amz-content-sha256") {
        // Signers sign over what they declare, whether or not it is so.
        Some(declared) => SignableBody::Precomputed(declared.to_str().unwrap().into()),
        None => SignableBody::Bytes(&wire.body),
    };
    let signable = SignableRequest::new(&wire.method, &url, headers, body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut out = wire.clone();
    out.headers.insert("host", HeaderValue::from_static(HOST));
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        out.headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    for (name, value) in instructions.params() {
        let value: String =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
                .to_string();
        let amp = if out.query.is_empty() { "" } else { "&" };
        out.query = format!("{}{amp}{name}={value}", out.query);
    }
    out
}

prop_compose! {
    fn a_wire()(
        method in "GET|PUT|POST|DELETE",
        path in "(/([A-Za-z0-9._~:@!$'()*,;=-]|%[2-7][0-9A-E]){0,12}){1,6}",
        query in "((([A-Za-z0-9._~-]|%[2-7][0-9A-E]){1,8}(=([A-Za-z0-9._~+-]|%[2-7][0-9A-E]){0,8})?)(&(([A-Za-z0-9._~-]|%[2-7][0-9A-E]){1,8}=([A-Za-z0-9._~-]){0,8})){0,4})?",
        values in proptest::collection::btree_map("(x-amz-|x-|content-)[a-z]{1,8}", "[!-~]([ -~]{0,20}[!-~])?", 0..5),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) -> Wire {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(&value).unwrap());
        }
        Wire { method, path, query, headers, body }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn accepts_what_aws_signs(wire in a_wire(), skew in -300i64..=300) {
        let wire = signed(&wire, None, None);
        prop_assert_eq!(wire.verify(SECRET, now(T as i64 + skew)), Ok(()));
    }

    #[test]
    fn accepts_what_aws_presigns(wire in a_wire(), expires in 1u64..604_800, age in 0u64..604_800) {
        let wire = signed(&wire, Some(expires), None);
        let verdict = wire.verify(SECRET, now((T + age.min(expires)) as i64));
        prop_assert_eq!(verdict, Ok(()));
        let late = wire.verify(SECRET, now((T + expires + 1) as i64));
        prop_assert!(matches!(late, Err(SigV4Error::Invalid(_))));
    }

    #[test]
    fn refuses_every_mutation(wire in a_wire(), presign in any::<bool>(), byte in any::<prop::sample::Index>(), part in 0..6) {
        let good = signed(&wire, presign.then_some(60), None);
        let mut bad = good.clone();
        match part {
            0 => bad.method = if bad.method == "GET" { "PUT".into() } else { "GET".into() },
            1 => bad.path.push_str("/x"),
            2 => bad.query = format!("{}&more=1", bad.query),
            3 => bad.body.push(b'x'),
            4 => { bad.headers.insert("host", HeaderValue::from_static("127.0.0.1:9071")); }
            _ => {
                // One hexadecimal digit of the signature.
                let flip = |text: &str| {
                    let at = text.rfind("Signature=").unwrap() + "Signature=".len();
                    let at = at + byte.index(64);
                    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
                    format!("{}{digit}{}", &text[..at], &text[at + 1..])
                };
                if presign {
                    bad.query = flip(&bad.query);
                } else {
                    let value = flip(bad.headers["authorization"].to_str().unwrap());
                    bad.headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
                }
            }
        }
        prop_assert!(bad.verify(SECRET, now(T as i64)).is_err());
        prop_assert_eq!(good.verify("another secret", now(T as i64)), Err(SigV4Error::Mismatch));
    }

    #[test]
    fn no_request_panics(auth in ".{0,200}", query in ".{0,200}", date in "[0-9TZ]{0,20}") {
        let mut headers = HeaderMap::new();
        for (name, value) in [("authorization", format!("AWS4-HMAC-SHA256 {auth}")), ("x-amz-date", date)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        let http = HttpRequest { method: "GET", path: "/", query: &query, headers: &headers };
        prop_assert!(SignedRequest::parse(http, now(T as i64)).is_err());
        let none = HeaderMap::new();
        let presigned = format!("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={query}");
        let http = HttpRequest { method: "GET", path: "/", query: &presigned, headers: &none };
        prop_assert!(SignedRequest::parse(http, now(T as i64)).is_err());
    }
}

fn plain() -> Wire {
    let path = "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations".into();
    Wire {
        method: "POST".into(),
        path,
        query: String::new(),
        headers: HeaderMap::new(),
        body: b"{}".into(),
    }
}

#[test]
fn the_clock_may_be_off_by_five_minutes() {
    let wire = signed(&plain(), None, None);
    for (skew, text) in [(301, "Signature expired"), (-301, "Signature not yet current")] {
        match wire.verify(SECRET, now(T as i64 + skew)) {
            Err(SigV4Error::Invalid(said)) => assert!(said.starts_with(text), "{said}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_presigned_url_lives_a_week_at_most() {
    let wire = signed(&plain(), Some(604_801), None);
    assert!(matches!(wire.verify(SECRET, now(T as i64)), Err(SigV4Error::Incomplete(_))));
}

#[test]
fn session_tokens_are_refused() {
    for presign in [None, Some(60)] {
        let wire = signed(&plain(), presign, Some("token"));
        assert_eq!(wire.verify(SECRET, now(T as i64)), Err(SigV4Error::UnknownToken));
    }
}

#[test]
fn an_amz_header_that_is_not_signed_is_refused() {
    let mut wire = signed(&plain(), None, None);
    wire.headers.insert("x-amz-invocation-type", HeaderValue::from_static("DryRun"));
    assert!(matches!(wire.verify(SECRET, now(T as i64)), Err(SigV4Error::Invalid(_))));
}

/// The plain request, with a hash declared in its head.
fn declaring(hash: &str) -> Wire {
    let mut wire = plain();
    wire.headers.insert("x-amz-content-sha256", HeaderValue::from_str(hash).unwrap());
    wire
}

const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Of `{}`, the plain request's body.
const HASH_OF_BODY: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

#[test]
fn a_declared_body_hash_must_be_the_bodys() {
    let streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    for declared in ["UNSIGNED-PAYLOAD", streaming, HASH_OF_NOTHING, &HASH_OF_BODY.to_uppercase()] {
        let wire = signed(&declaring(declared), None, None);
        let verdict = wire.verify(SECRET, now(T as i64));
        assert!(matches!(verdict, Err(SigV4Error::Invalid(_))), "{declared}: {verdict:?}");
    }
    let mut twice = signed(&declaring(HASH_OF_BODY), None, None);
    assert_eq!(twice.verify(SECRET, now(T as i64)), Ok(()));
    twice.headers.append("x-amz-content-sha256", HeaderValue::from_static(HASH_OF_BODY));
    assert!(matches!(twice.verify(SECRET, now(T as i64)), Err(SigV4Error::Invalid(_))));
}

#[test]
fn a_head_that_declares_its_bodys_hash_is_verified_without_the_body() {
    let declared = signed(&declaring(HASH_OF_NOTHING), None, None);
    assert_eq!(declared.verify_head(SECRET), Ok(true));
    assert_eq!(declared.verify_head("another secret"), Err(SigV4Error::Mismatch));
    let mut forged = declared;
    forged.headers.insert("x-amz-content-sha256", HeaderValue::from_static(HASH_OF_BODY));
    assert_eq!(forged.verify_head(SECRET), Err(SigV4Error::Mismatch));
    // One that does not is only believed with its body.
    assert_eq!(signed(&plain(), None, None).verify_head("another secret"), Ok(false));
}

#[test]
fn an_access_key_longer_than_any_is_unknown() {
    let mut wire = signed(&plain(), None, None);
    let auth = wire.headers["authorization"].to_str().unwrap().to_owned();
    for (length, known) in [(128, true), (129, false), (4096, false)] {
        let value = auth.replace("AKIATEST", &"A".repeat(length));
        wire.headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        let http = HttpRequest { method: "POST", path: "/", query: "", headers: &wire.headers };
        match SignedRequest::parse(http, now(T as i64)) {
            Ok(signed) => assert!(known && signed.access_key().len() == length),
            Err(error) => assert!(!known && error == SigV4Error::UnknownToken, "{error}"),
        }
    }
}

#[test]
fn the_scope_must_be_this_service_and_day() {
    let wire = signed(&plain(), None, None);
    let auth = wire.headers["authorization"].to_str().unwrap().to_owned();
    for (from, to) in [
        ("/lambda/", "/s3/"),
        ("aws4_request", "aws5_request"),
        ("/20260101/", "/20260102/"),
        ("eu-north-1", "EU_NORTH"),
        ("AWS4-HMAC-SHA256 ", "Bearer "),
    ] {
        let mut bad = wire.clone();
        let value = auth.replace(from, to);
        assert_ne!(value, auth);
        bad.headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        let verdict = bad.verify(SECRET, now(T as i64));
        assert!(
            matches!(verdict, Err(SigV4Error::Invalid(_) | SigV4Error::Incomplete(_))),
            "{to}: {verdict:?}"
        );
    }
}

#[test]
fn an_unsigned_request_says_so() {
    assert_eq!(plain().verify(SECRET, now(T as i64)), Err(SigV4Error::MissingToken));
}
