//! What both sides know of a method: its path and how large its messages may be.

use crate::limits::{MESSAGE_BYTES_MAX, METHOD_BYTES_MAX};
use http::uri::PathAndQuery;

/// A method, to be written down once as a constant that both sides use.
///
/// ```
/// use hearth_rpc::Method;
/// const INVOKE: Method =
///     Method::new("hearth.Worker/Invoke").request_bytes_max(8 << 20).answer_bytes_max(8 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    path: &'static str,
    request_bytes_max: usize,
    answer_bytes_max: usize,
}

impl Method {
    /// The method at `package.Service/Name`.
    ///
    /// # Panics
    /// If that is not what a path looks like; as a constant, it does not compile.
    pub const fn new(path: &'static str) -> Self {
        let bytes = path.as_bytes();
        let (mut at, mut slashes) = (0, 0);
        while at < bytes.len() {
            match bytes[at] {
                b'/' => slashes += 1,
                b'.' | b'_' => {}
                byte => assert!(byte.is_ascii_alphanumeric(), "a path is package.Service/Name"),
            }
            at += 1;
        }
        assert!(slashes == 1, "a path is package.Service/Name");
        assert!(bytes[0] != b'/' && bytes[bytes.len() - 1] != b'/', "neither part is empty");
        let max = MESSAGE_BYTES_MAX;
        Self { path, request_bytes_max: max, answer_bytes_max: max }
    }

    /// The same, with requests up to this many bytes.
    #[must_use]
    pub const fn request_bytes_max(mut self, max: usize) -> Self {
        assert!(max <= METHOD_BYTES_MAX, "no message may be this large");
        self.request_bytes_max = max;
        self
    }

    /// The same, with answers up to this many bytes.
    #[must_use]
    pub const fn answer_bytes_max(mut self, max: usize) -> Self {
        assert!(max <= METHOD_BYTES_MAX, "no message may be this large");
        self.answer_bytes_max = max;
        self
    }

    /// `package.Service/Name`.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    pub(crate) fn request_max(&self) -> usize {
        self.request_bytes_max
    }

    pub(crate) fn answer_max(&self) -> usize {
        self.answer_bytes_max
    }

    pub(crate) fn uri_path(&self) -> PathAndQuery {
        format!("/{}", self.path).parse().expect("new checked what it is made of")
    }
}
