//! The AWS Lambda API as data: which operations there are, what their requests
//! may say, what their responses look like, and how errors are spelt.
//!
//! Pure: bytes and headers in, values of the `hearth-services` contracts out,
//! and back. No I/O, no state. Texts and codes follow AWS's public model and
//! what the service was seen to answer.
#![forbid(unsafe_code)]

pub mod error;
pub mod function_ref;
pub mod operation;
pub mod request;
pub mod response;
pub mod router;
pub mod server_timing;
mod validate;

pub use error::{ApiError, ErrorCode};
pub use function_ref::{FunctionRef, Qualifier};
pub use operation::Operation;
pub use router::{Route, Router};
