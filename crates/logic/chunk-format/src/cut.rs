//! Where a file of unknown origin is cut into chunks: after pages that say so.
//!
//! ```text
//!  before   │ a b c d ¦ e f g ¦ h i j k l ¦        ¦ behind pages whose hash ends a chunk
//!  after    │ a b X Y d ¦ e f g ¦ h i j k l ¦      what follows the next cut is the same
//! ```
//!
//! A page that is added or taken away moves all that follow, and with windows of a
//! fixed size no chunk behind it would be the same. (Muthitacharoen et al., "A
//! low-bandwidth network file system", 2001; here by pages, as images are.)
//!
//! Cuts are chosen under the secret: chunks' lengths can be seen, and without it they
//! would tell which known file this is.

use crate::keys::ChunkSecret;

const CUTS_OF_SECRET: &str = "hearth 2026 chunk secret to cuts";
/// One page in so many ends a chunk: a few chunks more than if all were full, and a
/// change costs about one of them.
const PAGES_MEAN: u64 = 64;

/// Tells where chunks end.
#[derive(Clone)]
pub struct Cuts([u8; 32]);

impl Cuts {
    /// The cuts of files under that secret.
    pub fn under(secret: &ChunkSecret) -> Self {
        Self(blake3::derive_key(CUTS_OF_SECRET, &secret.0))
    }

    /// Whether a chunk ends behind this page.
    pub fn end_behind(&self, page: &[u8]) -> bool {
        let hash = blake3::keyed_hash(&self.0, page);
        let number = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        u64::from_le_bytes(*number).is_multiple_of(PAGES_MEAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::OwnerKey;
    use crate::layout::PAGE_BYTES;

    #[test]
    fn cuts_are_as_far_apart_as_meant_and_depend_on_the_secret() {
        let cuts = |key| Cuts::under(&OwnerKey::from_bytes([key; 32]).salted_chunk_secret());
        let (one, other) = (cuts(1), cuts(2));
        let pages = (0..16_384u32).map(|n| n.to_le_bytes().repeat(PAGE_BYTES / 4));
        let (mut ends, mut both) = (0, 0);
        for page in pages {
            assert_eq!(one.end_behind(&page), one.end_behind(&page));
            ends += u32::from(one.end_behind(&page));
            both += u32::from(one.end_behind(&page) && other.end_behind(&page));
        }
        assert!((200..=312).contains(&ends), "256 are expected, {ends} are there");
        assert!(both < 32, "4 are expected, {both} are there");
    }
}
