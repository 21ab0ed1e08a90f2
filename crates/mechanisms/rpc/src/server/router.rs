//! Which handler answers which method.

use super::answer::{Handler, NoAnswer};
use super::gathered::Gathered;
use crate::codec::{PackError, pack, unpack};
use crate::hello::{HELLO, Hello, PROTOCOL};
use crate::limits::{GATHERED_MAX, ServerLimits};
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
    pub(super) how: How,
}

/// How a method is served.
pub(super) enum How {
    /// Each call by a task of its own.
    Call(Handler),
    /// Batches of questions, by the stream that they come on.
    Gathered(Gathered),
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
                let request = unpack(&request).map_err(garbled)?;
                let answer = handler(peer, request).await;
                pack(&answer, method.answer_max()).map_err(NoAnswer::from)
            }
            .boxed()
        });
        self.insert(Served { method, how: How::Call(handler) });
        self
    }

    /// The same, and this method, whose questions clients gather. The handler takes a batch
    /// and gives one answer to each, in order. It runs where the batch was read, and must
    /// not wait: the thread that it holds up serves others.
    ///
    /// # Panics
    /// If there is a method at this path already.
    #[must_use]
    pub fn gathered<Q, A>(
        mut self,
        method: Method,
        handler: impl Fn(&Peer, Vec<Q>) -> Vec<A> + Send + Sync + 'static,
    ) -> Self
    where
        Q: DeserializeOwned + 'static,
        A: Serialize + 'static,
    {
        let handler: Gathered = Arc::new(move |peer, batch| {
            let questions: Vec<Q> = unpack(batch).map_err(garbled)?;
            if questions.len() > GATHERED_MAX {
                let text = format!("{} questions of at most {GATHERED_MAX}", questions.len());
                return Err(NoAnswer { outcome: Outcome::TooLarge, text });
            }
            pack(&handler(peer, questions), method.answer_max()).map_err(NoAnswer::from)
        });
        self.insert(Served { method, how: How::Gathered(handler) });
        self
    }

    fn insert(&mut self, served: Served) {
        let path = served.method.path();
        let before = self.methods.insert(path, served);
        assert!(before.is_none(), "{path} has two handlers");
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

fn garbled(error: rmp_serde::decode::Error) -> NoAnswer {
    NoAnswer { outcome: Outcome::Garbled, text: error.to_string() }
}

impl From<PackError> for NoAnswer {
    fn from(error: PackError) -> Self {
        let outcome = match error {
            PackError::TooLarge { .. } => Outcome::AnswerTooLarge,
            PackError::Unwritable(_) => Outcome::AnswerUnwritable,
        };
        Self { outcome, text: error.to_string() }
    }
}
