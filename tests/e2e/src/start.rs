//! Invocations of which a test wants to know how their sandbox was had.

use crate::{Answer, Function};
use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_lambda::config::http::HttpResponse;
use aws_sdk_lambda::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_lambda::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_lambda::error::{BoxError, DisplayErrorContext, SdkError};
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::types::LogType;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Asks for a start of one kind; the sandbox then serves this event alone.
const START_HEADER: &str = "x-hearth-start";
/// Says which start it was.
const TIMING_HEADER: &str = "server-timing";

/// The quickest start that a caller puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Whatever there is.
    Warm,
    /// A new sandbox, of the function's own snapshot.
    Restored,
    /// A new sandbox, of its runtime's snapshot.
    Cold,
}

/// A finished invocation, and how it began.
#[derive(Debug)]
pub struct Started {
    /// What it came to.
    pub answer: Answer,
    /// `warm`, `restored`, `cold` or `booted`.
    pub kind: String,
    /// The tail of its log, its `REPORT` at the end.
    pub log: String,
}

impl Function {
    /// Invokes it, by a start that is no quicker than `quickest`.
    pub async fn start(&self, quickest: Start, event: &Value) -> Result<Started> {
        let sent = self.try_start(quickest, event).await;
        sent.map_err(|e| anyhow!("start {}: {}", self.name, DisplayErrorContext(e)))?
    }

    /// The same; the outer error is the API's.
    pub async fn try_start(
        &self,
        quickest: Start,
        event: &Value,
    ) -> Result<Result<Started>, SdkError<InvokeError, HttpResponse>> {
        let timing = Timing::default();
        let request = self.request(event).log_type(LogType::Tail);
        let mut request = request.customize().interceptor(timing.clone());
        let wanted = match quickest {
            Start::Warm => None,
            Start::Restored => Some("restored"),
            Start::Cold => Some("cold"),
        };
        if let Some(wanted) = wanted {
            request = request.mutate_request(move |request| {
                request.headers_mut().insert(START_HEADER, wanted);
            });
        }
        let answer = Answer::from(request.send().await?);
        Ok(started(answer, &timing))
    }

    /// Invokes it by a start of exactly this kind, and returns its response.
    pub async fn call_started(&self, how: Start, event: &Value) -> Result<Value> {
        let started = self.start(how, event).await?;
        let wanted = format!("{how:?}").to_lowercase();
        ensure!(started.kind == wanted, "{} was {}, not {wanted}", self.name, started.kind);
        started.answer.json()
    }
}

fn started(answer: Answer, timing: &Timing) -> Result<Started> {
    let told = timing.0.get().context("no Server-Timing")?;
    let kind = told.split(',').find_map(|entry| entry.trim().strip_prefix("kind;desc="));
    let log = match &answer.log_base64 {
        Some(log) => String::from_utf8_lossy(&BASE64_STANDARD.decode(log)?).into_owned(),
        None => String::new(),
    };
    Ok(Started { kind: kind.context("no kind of start")?.to_owned(), log, answer })
}

/// Keeps one header of the response, which the SDK does not show.
#[derive(Clone, Debug, Default)]
struct Timing(Arc<OnceLock<String>>);

impl Intercept for Timing {
    fn name(&self) -> &'static str {
        "timing"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(value) = context.response().headers().get(TIMING_HEADER) {
            let _once = self.0.set(value.to_owned());
        }
        Ok(())
    }
}
