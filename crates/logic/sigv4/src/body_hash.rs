//! The hash of a body, in the one form that signatures are made over.

use sha2::{Digest, Sha256};

/// Characters of the form.
const LEN: usize = 64;

/// SHA-256 of a body, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyHash([u8; LEN]);

impl BodyHash {
    /// Hashes a body; a mebibyte takes about a millisecond.
    pub fn of(body: &[u8]) -> Self {
        let mut text = [0; LEN];
        hex::encode_to_slice(Sha256::digest(body), &mut text).expect("two digits a byte");
        Self(text)
    }

    /// What a client says the hash is, if it can be one.
    pub(crate) fn declared(text: &[u8]) -> Option<Self> {
        let digit = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        <[u8; LEN]>::try_from(text).ok().filter(|text| text.iter().all(digit)).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits")
    }
}
