//! What a server says of a call that it does not answer, and how that travels: as one
//! header of ours beside gRPC's status, which other tools understand.

use crate::error::{Lost, Refusal};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// The header in which a client says how long its request is.
pub(crate) const LENGTH_HEADER: &str = "hearth-length";
/// The header in which a server says what became of a call.
const HEADER: &str = "hearth-outcome";
/// The longest explanation that travels: it goes into a header.
const TEXT_BYTES_MAX: usize = 512;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing here has this path.
    NotServed,
    /// The peer may not call this.
    NotAllowed,
    /// Too many calls or bytes are under way here.
    OverLimit,
    /// The request is larger than this method's may be.
    TooLarge,
    /// The request is not what this method takes.
    Garbled,
    /// The handler panicked.
    Panicked,
    /// It was done, but what it answers is larger than it may be.
    AnswerTooLarge,
    /// It was done, but what it answers cannot be written.
    AnswerUnwritable,
}

/// Each, its word in the header, and the code of gRPC nearest to it.
const WORDS: [(Outcome, &str, Code); 8] = [
    (Outcome::NotServed, "not-served", Code::Unimplemented),
    (Outcome::NotAllowed, "not-allowed", Code::PermissionDenied),
    (Outcome::OverLimit, "over-limit", Code::ResourceExhausted),
    (Outcome::TooLarge, "too-large", Code::OutOfRange),
    (Outcome::Garbled, "garbled", Code::InvalidArgument),
    (Outcome::Panicked, "panicked", Code::Internal),
    (Outcome::AnswerTooLarge, "answer-too-large", Code::OutOfRange),
    (Outcome::AnswerUnwritable, "answer-unwritable", Code::Internal),
];

impl Outcome {
    /// As a status that says so.
    pub(crate) fn status(self, text: impl Into<String>) -> Status {
        let (_, word, code) = WORDS.into_iter().find(|(o, ..)| *o == self).expect("all are there");
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        let mut status = Status::new(code, text);
        status.metadata_mut().insert(HEADER, MetadataValue::from_static(word));
        status
    }

    /// What a status says.
    fn of(status: &Status) -> Option<Self> {
        let said = status.metadata().get(HEADER)?;
        let (outcome, ..) = WORDS.into_iter().find(|(_, word, _)| said == word)?;
        Some(outcome)
    }
}

/// What the peer said became of a call.
#[derive(Debug)]
pub(crate) enum Said {
    Refused(Refusal),
    Lost(Lost),
}

/// Whether the peer said anything of it.
pub(crate) fn said(status: &Status) -> Option<Said> {
    let text = || status.message().to_owned();
    Some(match Outcome::of(status)? {
        Outcome::NotServed => Said::Refused(Refusal::NotServed),
        Outcome::NotAllowed => Said::Refused(Refusal::NotAllowed(text())),
        Outcome::OverLimit => Said::Refused(Refusal::OverLimit(text())),
        Outcome::TooLarge => Said::Refused(Refusal::TooLarge(text())),
        Outcome::Garbled => Said::Refused(Refusal::Garbled(text())),
        Outcome::Panicked => Said::Lost(Lost::HandlerPanicked),
        Outcome::AnswerTooLarge => Said::Lost(Lost::AnswerTooLarge(text())),
        Outcome::AnswerUnwritable => Said::Lost(Lost::AnswerUnwritable(text())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_travels() {
        for (outcome, ..) in WORDS {
            let status = outcome.status("because");
            let mut headers = http::HeaderMap::new();
            status.add_header(&mut headers).unwrap();
            let arrived = Status::from_header_map(&headers).unwrap();
            assert_eq!(Outcome::of(&arrived), Some(outcome));
            assert_eq!(arrived.message(), "because");
            assert!(said(&arrived).is_some());
        }
        assert!(said(&Status::internal("of something else")).is_none());
    }
}
