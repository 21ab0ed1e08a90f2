//! Randomness for ids, keys and seeds: the operating system's, directly.

/// Random bytes, good enough for secrets.
///
/// # Panics
/// If the operating system has none. Linux always has once it booted, and
/// nothing that needs them could go on safely.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[cfg(any(test, feature = "test-util"))]
    if seeded::fill(&mut bytes) {
        return bytes;
    }
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// Makes this thread's randomness a known sequence, for a test.
#[cfg(any(test, feature = "test-util"))]
pub fn seed(seed: u64) {
    seeded::STATE.set(Some(seed));
}

#[cfg(any(test, feature = "test-util"))]
mod seeded {
    use std::cell::Cell;

    thread_local! {
        pub(super) static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// SplitMix64 (Steele, Lea, Flood 2014); false if this thread has no seed.
    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        let Some(mut state) = STATE.get() else { return false };
        for chunk in bytes.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
        STATE.set(Some(state));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_none_does_not() {
        assert_ne!(bytes::<16>(), bytes::<16>());
        let draw = || {
            seed(42);
            (bytes::<16>(), bytes::<5>())
        };
        let (first, second) = draw();
        assert_eq!(draw(), (first, second));
        assert_ne!(first[..5], second);
    }
}
