//! Where a file is in the memory of the process that faults.

use crate::PAGE_BYTES;
use crate::page::PageNo;
use serde::{Deserialize, Serialize};

/// Regions of one process: a guest's memory is in two or three.
const REGIONS_MAX: usize = 16;

/// A stretch of memory that a file is the content of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRegion {
    /// Where it starts in the process's memory.
    pub address: u64,
    /// Where it starts in the file.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

/// Regions that are whole pages, in the file, and nowhere overlap.
#[derive(Debug)]
pub(crate) struct Regions(Vec<FaultRegion>);

impl Regions {
    /// None if they are not so.
    pub(crate) fn new(regions: Vec<FaultRegion>, size: u64) -> Option<Self> {
        let whole = |region: &FaultRegion| {
            let numbers = [region.address, region.offset, region.len];
            region.len > 0
                && numbers.iter().all(|number| number.is_multiple_of(PAGE_BYTES))
                && region.address.checked_add(region.len).is_some()
                && region.offset.checked_add(region.len).is_some_and(|end| end <= size)
        };
        let apart = |start: fn(&FaultRegion) -> u64| {
            let mut sorted: Vec<_> = regions.iter().map(|r| (start(r), r.len)).collect();
            sorted.sort_unstable();
            sorted.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
        };
        let fine = (1..=REGIONS_MAX).contains(&regions.len())
            && regions.iter().all(whole)
            && apart(|region| region.address)
            && apart(|region| region.offset);
        fine.then_some(Self(regions))
    }

    /// Which page of the file is at an address.
    pub(crate) fn page(&self, address: u64) -> Option<PageNo> {
        let region = self.0.iter().find(|r| (r.address..r.address + r.len).contains(&address))?;
        let offset = address - region.address + region.offset;
        (offset / PAGE_BYTES).try_into().ok().map(PageNo)
    }

    /// At which address a page of the file is.
    pub(crate) fn address(&self, page: PageNo) -> Option<u64> {
        let offset = page.offset();
        let region = self.0.iter().find(|r| (r.offset..r.offset + r.len).contains(&offset))?;
        Some(offset - region.offset + region.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(address: u64, offset: u64, len: u64) -> FaultRegion {
        FaultRegion { address, offset, len }
    }

    #[test]
    fn addresses_and_pages_belong_together() {
        let regions = vec![region(0x10_0000, 0x2000, 0x2000), region(0x40_0000, 0, 0x1000)];
        let regions = Regions::new(regions, 0x10_000).unwrap();
        assert_eq!(regions.page(0x10_1fff), Some(PageNo(3)));
        assert_eq!(regions.page(0x10_2000), None);
        assert_eq!(regions.page(0x40_0000), Some(PageNo(0)));
        assert_eq!(regions.address(PageNo(3)), Some(0x10_1000));
        assert_eq!(regions.address(PageNo(0)), Some(0x40_0000));
        assert_eq!(regions.address(PageNo(1)), None);
    }

    #[test]
    fn regions_that_cannot_be_are_refused() {
        let refused = |regions: &[FaultRegion]| Regions::new(regions.to_vec(), 0x4000).is_none();
        let good = region(0x1000, 0, 0x1000);
        assert!(!refused(&[good]));
        assert!(refused(&[]));
        assert!(refused(&[region(0x1001, 0, 0x1000)]), "no whole page");
        assert!(refused(&[region(0x1000, 0, 0)]));
        assert!(refused(&[region(0x1000, 0x4000, 0x1000)]), "beyond the file");
        assert!(refused(&[region(!0xfff, 0, 0x1000)]), "around the end");
        assert!(refused(&[region(0x1000, !0xfff, 0x1000)]));
        assert!(refused(&[good, region(0x1000, 0x1000, 0x1000)]), "one address twice");
        assert!(refused(&[good, region(0x8000, 0, 0x1000)]), "one page twice");
        assert!(refused(&[good; 17]));
    }
}
