//! One authenticated call, as operations see it, and the services they call on.

use crate::auth::Caller;
use crate::config::Config;
use crate::idle::IdleConnections;
use crate::payloads::Payloads;
use crate::{FrontendDeps, FrontendOptions, failure, work};
use bytes::Bytes;
use hearth_ambient::random;
use hearth_lambda_api::{ApiError, FunctionRef, Operation, Qualifier, Router};
use hearth_services::control::ControlError;
use hearth_services::keys::AliasRecord;
use hearth_types::{AccountId, FunctionName, FunctionVersion, RequestId, Version};
use http::request::Parts;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Span;
use tracing::field::{Empty, display};

/// All that a front end is made of.
pub(crate) struct Shared {
    pub(crate) deps: FrontendDeps,
    pub(crate) options: FrontendOptions,
    pub(crate) router: Router,
    pub(crate) config: Config,
    pub(crate) payloads: Payloads,
    pub(crate) idle: Arc<IdleConnections>,
    /// Bounds the calls in flight.
    pub(crate) calls: Arc<Semaphore>,
    /// Owns every call's task; shutdown waits for them.
    pub(crate) tasks: TaskTracker,
}

/// One call.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) request: RequestId,
    /// When all of it was here.
    pub(crate) arrived: Instant,
    pub(crate) operation: Operation,
    pub(crate) caller: Caller,
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    /// What all that is logged meanwhile is about.
    pub(crate) span: Span,
}

/// A call's span. It costs a microsecond or more where it is asked for, so it is
/// for those who look into calls: errors name their request in any case.
pub(crate) fn span(request: RequestId) -> Span {
    tracing::debug_span!("call", %request, function = Empty, sandbox = Empty)
}

impl Call {
    pub(crate) fn account(&self) -> &AccountId {
        &self.caller.account
    }

    pub(crate) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// Reads what the body asks for; `context` is what the reader needs besides.
    pub(crate) async fn read<C, T>(
        &self,
        context: &C,
        read: fn(&C, &Bytes) -> Result<T, ApiError>,
    ) -> Result<T, ApiError>
    where
        C: Clone + Send + 'static,
        T: Send + 'static,
    {
        work::on_body(self.request, context, &self.body, read).await?
    }

    /// A path parameter, decoded.
    pub(crate) fn param(&self, name: &str) -> Result<String, ApiError> {
        let route = self
            .shared
            .router
            .route(&self.parts.method, self.parts.uri.path(), self.query())
            .ok_or_else(ApiError::service)?;
        route.param(name)
    }

    /// The function that the path names, with its qualifier if it has one. It is
    /// the caller's own: another account's is refused here.
    pub(crate) fn function(&self) -> Result<FunctionRef, ApiError> {
        let qualifier = hearth_lambda_api::request::query_value(self.query(), "Qualifier");
        let text = self.param("FunctionName")?;
        let function = FunctionRef::parse(&text, qualifier.filter(|q| !q.is_empty()).as_deref())?;
        function.check_owner(self.account(), self.operation.name())?;
        self.is_about(&function.name);
        Ok(function)
    }

    /// Notes the call's function, for the log.
    pub(crate) fn is_about(&self, function: &FunctionName) {
        self.span.record("function", display(function));
    }

    /// The ARN in the caller's region, for error texts.
    pub(crate) fn arn(&self, name: &FunctionName, qualifier: Option<String>) -> String {
        let arn = hearth_types::FunctionArn {
            region: self.caller.region.clone(),
            account: self.account().clone(),
            name: name.clone(),
            qualifier,
        };
        arn.to_string()
    }

    /// The version that a reference means; `$LATEST` if it says nothing.
    pub(crate) async fn version_of(&self, function: &FunctionRef) -> Result<Version, ApiError> {
        match &function.qualifier {
            None => Ok(Version::Latest),
            Some(Qualifier::Version(version)) => Ok(*version),
            Some(Qualifier::Alias(name)) => Ok(self.alias(function, name).await?.version),
        }
    }

    /// What a reference means, from the configuration cache.
    pub(crate) async fn found(
        &self,
        function: &FunctionRef,
    ) -> Result<Arc<FunctionVersion>, ApiError> {
        let version = self.version_of(function).await?;
        self.read_version(function, version).await?.ok_or_else(|| self.not_found(function))
    }

    /// The version that is to serve an invoke of what a reference means. An alias may
    /// name two, and one that is not ready yet.
    pub(crate) async fn serving(
        &self,
        function: &FunctionRef,
    ) -> Result<Arc<FunctionVersion>, ApiError> {
        let Some(Qualifier::Alias(name)) = &function.qualifier else {
            return self.found(function).await;
        };
        let alias = self.alias(function, name).await?;
        for version in alias.candidates(|| u64::from_le_bytes(random::bytes())) {
            let found = self.read_version(function, version).await?;
            if let Some(ready) = found.filter(|version| version.is_ready()) {
                return Ok(ready);
            }
        }
        // None is, which is told of the one that the alias names.
        let named = self.read_version(function, alias.version).await?;
        named.ok_or_else(|| self.not_found(function))
    }

    async fn alias(&self, function: &FunctionRef, name: &str) -> Result<AliasRecord, ApiError> {
        let found = self.shared.config.alias(self.account(), &function.name, name).await;
        found
            .map_err(|error| failure::read(self.request, error))?
            .ok_or_else(|| self.not_found(function))
    }

    async fn read_version(
        &self,
        function: &FunctionRef,
        version: Version,
    ) -> Result<Option<Arc<FunctionVersion>>, ApiError> {
        let found = self.shared.config.version(self.account(), &function.name, version).await;
        found.map_err(|error| failure::read(self.request, error))
    }

    fn not_found(&self, function: &FunctionRef) -> ApiError {
        let qualifier = function.qualifier.as_ref().map(Qualifier::to_string);
        ApiError::function_not_found(self.arn(&function.name, qualifier))
    }

    /// Words a refused control call. ARNs in texts are in the caller's region.
    pub(crate) fn refused(&self, function: Option<&FunctionRef>, error: ControlError) -> ApiError {
        let qualifier = function.and_then(|f| f.qualifier.as_ref()).map(Qualifier::to_string);
        failure::control(self.request, error, |name, meant| {
            self.arn(name, meant.or_else(|| qualifier.clone()))
        })
    }
}
