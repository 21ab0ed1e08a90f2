//! What a function that failed says of it.

use super::Reply;
use serde_json::Value;

/// An error of the function's own, not of the server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FunctionError {
    /// `Unhandled`, mostly.
    kind: String,
    /// The error's class, as the language calls it.
    class: Option<String>,
    message: Option<String>,
}

impl FunctionError {
    /// The one that a reply is, if it is one.
    pub(crate) fn of(reply: &Reply) -> Option<Self> {
        Some(Self::new(reply.header("x-amz-function-error")?, &reply.body))
    }

    fn new(kind: &str, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        Self { kind: kind.to_owned(), class: text("errorType"), message: text("errorMessage") }
    }

    /// `Unhandled (ValueError: no)`, as far as its body says.
    pub(crate) fn whole(&self) -> String {
        let Self { kind, class, message } = self;
        match (class, message) {
            (Some(class), Some(message)) => format!("{kind} ({class}: {message})"),
            (None, Some(message)) => format!("{kind} ({message})"),
            _ => self.sort(),
        }
    }

    /// `Unhandled (ValueError)`: without what differs from one event to the next.
    pub(crate) fn sort(&self) -> String {
        match &self.class {
            Some(class) => format!("{} ({class})", self.kind),
            None => self.kind.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_described_as_far_as_it_says() {
        let error =
            FunctionError::new("Unhandled", br#"{"errorType":"ValueError","errorMessage":"no"}"#);
        assert_eq!(error.whole(), "Unhandled (ValueError: no)");
        assert_eq!(error.sort(), "Unhandled (ValueError)");
        assert_eq!(FunctionError::new("Unhandled", b"oops").whole(), "Unhandled");
    }
}
