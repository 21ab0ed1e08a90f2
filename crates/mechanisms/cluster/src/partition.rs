//! Which partition a function belongs to. Every process computes it, so it never changes
//! for a number of partitions that has been settled.

use hearth_types::{AccountId, FunctionName, Partition};

/// The partition of a function, of `partitions` in all.
pub fn partition_of(account: &AccountId, function: &FunctionName, partitions: u16) -> Partition {
    let hash = blake3::hash(format!("{account}/{function}").as_bytes());
    let mut head = [0; 8];
    head.copy_from_slice(&hash.as_bytes()[..8]);
    let index = u64::from_le_bytes(head) % u64::from(partitions.max(1));
    Partition(index as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_spread_evenly_and_always_alike() {
        let account = "111111111111".parse().unwrap();
        let of = |name: &str| partition_of(&account, &name.parse().unwrap(), 16);
        let mut counts = [0; 16];
        for n in 0..16_000 {
            counts[usize::from(of(&format!("f{n}")).0)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        // Sandboxes of running clusters lie where this says.
        assert_eq!([of("hello"), of("f1"), of("f2")].map(|p| p.0), [11, 8, 4]);
    }
}
