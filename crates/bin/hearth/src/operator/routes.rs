//! The operations of the operator's socket: who answers which call.

use super::server::Desk;
use super::snapshots::Wanted;
use super::wire::{AccountLine, Failure, NewAccount, NewKey};
use bytes::Bytes;
use hearth_services::control::ControlError;
use hearth_types::{AccountId, InvalidAccountId};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use std::num::ParseIntError;
use std::time::Duration;

/// Largest request: a name and its quotes.
const REQUEST_BYTES_MAX: usize = 4 * 1024;

type Reply = Response<Full<Bytes>>;

/// Answers one call.
pub(super) async fn answer(request: Request<Incoming>, desk: &Desk) -> Reply {
    let Desk { accounts, snapshots } = desk;
    let (head, body) = request.into_parts();
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    match (&head.method, path.as_slice()) {
        (&Method::GET, ["v1", "accounts"]) => match accounts.list().await {
            Ok(all) => {
                json(StatusCode::OK, &all.into_iter().map(AccountLine::from).collect::<Vec<_>>())
            }
            Err(error) => refusal(&error),
        },
        (&Method::POST, ["v1", "accounts"]) => {
            let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX).collect().await else {
                return failure(StatusCode::BAD_REQUEST, "the request is too long or broke off");
            };
            match serde_json::from_slice::<NewAccount>(&body.to_bytes()) {
                Ok(new) => match accounts.create(new.name).await {
                    Ok((_, key)) => json(StatusCode::OK, &NewKey::from(key)),
                    Err(error) => refusal(&error),
                },
                Err(_) => failure(StatusCode::BAD_REQUEST, "a name is needed"),
            }
        }
        (&Method::POST, ["v1", "accounts", id, "rotate-key"]) => match id.parse::<AccountId>() {
            Ok(id) => match accounts.rotate_key(&id).await {
                Ok(key) => json(StatusCode::OK, &NewKey::from(key)),
                Err(error) => refusal(&error),
            },
            Err(error) => failure(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        (&Method::GET, ["v1", "snapshots"]) => told(snapshots.list().await),
        (&Method::GET, ["v1", "snapshots", function, version]) => {
            let query = Query::of(head.uri.query());
            match (function.parse(), version.parse(), query.account()) {
                (Ok(function), Ok(version), Ok(account)) => {
                    let wanted = Wanted::Version(account, function, version);
                    told(snapshots.show(wanted, query.map).await)
                }
                _ => failure(StatusCode::BAD_REQUEST, "no version has such a name"),
            }
        }
        (&Method::GET, ["v1", "layers", name]) => {
            let map = Query::of(head.uri.query()).map;
            told(snapshots.show(Wanted::Layer(name), map).await)
        }
        (&Method::POST, ["v1", "gc"]) => match Query::of(head.uri.query()).grace() {
            Ok(grace) => told(snapshots.collect(grace).await),
            Err(_) => failure(StatusCode::BAD_REQUEST, "the grace is not a number of seconds"),
        },
        (&Method::POST, ["v1", "verify"]) => told(snapshots.verify().await),
        _ => failure(StatusCode::NOT_FOUND, "no such operation"),
    }
}

/// What may follow a path.
#[derive(Default)]
struct Query<'a> {
    account: Option<&'a str>,
    grace: Option<&'a str>,
    map: bool,
}

impl<'a> Query<'a> {
    fn of(text: Option<&'a str>) -> Self {
        let mut query = Self::default();
        for part in text.unwrap_or_default().split('&') {
            match part.split_once('=') {
                Some(("account", account)) => query.account = Some(account),
                Some(("grace", seconds)) => query.grace = Some(seconds),
                None if part == "map" => query.map = true,
                _ => {}
            }
        }
        query
    }

    fn grace(&self) -> Result<Option<Duration>, ParseIntError> {
        Ok(self.grace.map(str::parse).transpose()?.map(Duration::from_secs))
    }

    fn account(&self) -> Result<Option<AccountId>, InvalidAccountId> {
        self.account.map(str::parse).transpose()
    }
}

/// What came of something; its error in full, for who may know everything.
fn told<T: Serialize>(result: anyhow::Result<T>) -> Reply {
    match result {
        Ok(value) => json(StatusCode::OK, &value),
        Err(error) => failure(StatusCode::BAD_REQUEST, &format!("{error:#}")),
    }
}

fn refusal(error: &ControlError) -> Reply {
    let status = match error {
        ControlError::Internal(source) => {
            tracing::error!(%source, "operator socket: the store failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::BAD_REQUEST,
    };
    failure(status, &error.to_string())
}

fn failure(status: StatusCode, message: &str) -> Reply {
    json(status, &Failure { message: message.to_owned() })
}

fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    // These types hold texts, numbers and lists only: they always serialise.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/json");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    reply
}
