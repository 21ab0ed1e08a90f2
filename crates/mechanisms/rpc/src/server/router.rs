//! Which handler answers which method.

use super::answer::{Handler, NoAnswer};
use crate::codec::{PackError, pack, unpack};
use crate::hello::{HELLO, Hello, PROTOCOL};
use crate::limits::ServerLimits;
use crate::method::Method;
use crate::outcome::Outcome;
use crate::peer::Peer;
use futures_util::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Whether a peer may call a method.
pub(super) type MayCall = dyn Fn(&Peer, &Method) -> bool + Send + Sync;

/// A method that is served.
pub(super) struct Served {
    pub(super) method: Method,
    pub(super) handler: Handler,
}

/// The methods that a server has.
pub struct Router {
    pub(super) methods: HashMap<&'static str, Served>,
    pub(super) limits: ServerLimits,
    pub(super) may_call: Option<Arc<MayCall>>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("methods", &self.methods.keys()).finish_non_exhaustive()
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl Router {
    /// No methods yet but the greeting that every server answers.
    pub fn new() -> Self {
        let router =
            Self { methods: HashMap::new(), limits: ServerLimits::default(), may_call: None };
        router.method(HELLO, |_, _: Hello| async { Hello { protocol: PROTOCOL } })
    }

    /// The same, and this method. The handler runs in a task of its own, to its end even
    /// if the caller goes away; what it refuses belongs into its answer, a `Result` say.
    ///
    /// # Panics
    /// If there is a method at this path already.
    #[must_use]
    pub fn method<Req, Answer, F>(
        mut self,
        method: Method,
        handler: impl Fn(Peer, Req) -> F + Send + Sync + 'static,
    ) -> Self
    where
        Req: DeserializeOwned + Send + 'static,
        Answer: Serialize + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler: Handler = Box::new(move |peer, request| {
            let handler = handler.clone();
            async move {
                let request = unpack(&request).map_err(|error| NoAnswer {
                    outcome: Outcome::Garbled,
                    text: error.to_string(),
                })?;
                let answer = handler(peer, request).await;
                pack(&answer, method.answer_max()).map_err(|error| {
                    let outcome = match error {
                        PackError::TooLarge { .. } => Outcome::AnswerTooLarge,
                        PackError::Unwritable(_) => Outcome::AnswerUnwritable,
                    };
                    NoAnswer { outcome, text: error.to_string() }
                })
            }
            .boxed()
        });
        let before = self.methods.insert(method.path(), Served { method, handler });
        assert!(before.is_none(), "{} has two handlers", method.path());
        self
    }

    /// The same, but a peer may call only what this says.
    #[must_use]
    pub fn allow(
        mut self,
        may_call: impl Fn(&Peer, &Method) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.may_call = Some(Arc::new(may_call));
        self
    }

    /// The same, within these limits.
    #[must_use]
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }
}
