//! Chance out of a seed, the same on every machine.

/// The number that a seed has at a place (the mix of SplitMix64: Steele, Lea, Flood
/// 2014).
pub(crate) fn mix(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// So many of the items, perhaps some of them twice; all of them if there are no more.
pub(crate) fn some_of(items: &[u32], most: usize, seed: u64) -> impl Iterator<Item = u32> + '_ {
    let all = items.len() <= most;
    (0..most.min(items.len())).filter_map(move |n| {
        let at = if all { n } else { scaled(mix(seed, n as u64), items.len()) };
        items.get(at).copied()
    })
}

/// A number of 64 bits, as one below `len`.
fn scaled(number: u64, len: usize) -> usize {
    ((u128::from(number) * len as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_all_of_few_and_as_many_as_asked_of_more() {
        let items: Vec<u32> = (10..40).collect();
        assert_eq!(some_of(&items, 30, 5).collect::<Vec<_>>(), items);
        assert_eq!(some_of(&[], 30, 5).count(), 0);
        let some: Vec<u32> = some_of(&items, 8, 5).collect();
        assert!(some.len() == 8 && some.iter().all(|n| items.contains(n)));
        assert_ne!(some, some_of(&items, 8, 6).collect::<Vec<_>>());
    }
}
