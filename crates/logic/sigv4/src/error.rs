//! Why a request is not authentic, in the words that AWS uses.

/// What is wrong with a signature. `Display` is text for the caller; it repeats
/// dates and scopes, never a secret or a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigV4Error {
    /// The request is not signed at all.
    #[error("Missing Authentication Token")]
    MissingToken,
    /// It is signed in a form that cannot be read.
    #[error("{0}")]
    Incomplete(String),
    /// The access key is not known, or a session token was given; Hearth
    /// issues none.
    #[error("The security token included in the request is invalid.")]
    UnknownToken,
    /// Scope, date or declared body hash are wrong.
    #[error("{0}")]
    Invalid(String),
    /// Everything is in place and the signature is not the right one.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details."
    )]
    Mismatch,
}
