//! The bookkeeping on its own.

use super::*;
use async_trait::async_trait;
use std::io;
use std::ops::Range;

/// Data in these bytes; nobody reads it here.
struct Data(Range<u64>);

#[async_trait]
impl Source for Data {
    fn size(&self) -> u64 {
        self.0.end
    }
    async fn read_at(&self, _: u64, _: usize) -> io::Result<Bytes> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn next_data(&self, offset: u64) -> Option<Range<u64>> {
        (offset < self.0.end).then(|| offset.max(self.0.start)..self.0.end)
    }
}

const PAGES: u32 = 64;
/// Pages 8 to 31, and a byte of page 32.
const DATA: Data = Data(8 * PAGE_BYTES..32 * PAGE_BYTES + 1);

fn run(first: u32, count: u32) -> PageRun {
    PageRun { first: PageNo(first), count }
}

fn bound() -> Core<&'static str> {
    let mut core = Core::new(PAGES);
    assert!(core.bind().unwrap().is_empty());
    core
}

fn demand(core: &mut Core<&'static str>, run: PageRun, who: &'static str) -> Vec<Piece> {
    match core.demand(run, Some(&DATA), &who).unwrap() {
        Demand::Pieces(pieces) => pieces,
        Demand::Waits => panic!("it is bound"),
    }
}

fn page(n: u32) -> (PageNo, Bytes) {
    (PageNo(n), Bytes::from(vec![n as u8; PAGE_BYTES as usize]))
}

#[test]
fn pages_come_from_where_they_are() {
    let mut core = bound();
    core.wrote(run(30, 2));
    let pieces = demand(&mut core, run(6, 40), "a");
    let expected = [
        Piece::From(Origin::Zeros, run(6, 2)),
        Piece::From(Origin::Source, run(8, 22)),
        Piece::From(Origin::Overlay, run(30, 2)),
        Piece::From(Origin::Source, run(32, 1)),
        Piece::From(Origin::Zeros, run(33, 13)),
    ];
    assert_eq!(pieces, expected);
    assert_eq!(core.counts.source_pages, 23);
    assert_eq!(core.log().touched.len(), 38, "written pages are nobody's working set");
}

#[test]
fn one_fetch_serves_all_who_ask() {
    let mut core = bound();
    assert_eq!(demand(&mut core, run(10, 2), "a"), [Piece::From(Origin::Source, run(10, 2))]);
    assert_eq!(demand(&mut core, run(11, 2), "b"), [Piece::From(Origin::Source, run(12, 1))]);
    let arrived = core.arrived(run(10, 2));
    assert_eq!(arrived, [(PageNo(10), vec!["a"]), (PageNo(11), vec!["a", "b"])]);
    assert_eq!(core.arrived(run(10, 2)), [], "only once");
    assert_eq!(core.log().touched, [PageNo(10), PageNo(11), PageNo(12)]);
}

#[test]
fn before_the_bind_all_wait_and_not_too_many() {
    let mut core = Core::new(PAGES);
    for _ in 0..EARLY_MAX {
        assert_eq!(core.demand(run(9, 1), None, &"early"), Ok(Demand::Waits));
    }
    assert_eq!(core.demand(run(9, 1), None, &"late"), Err(Refused::TooManyEarly));
    assert_eq!(core.give_up_early(|who| *who == "early"), Some((run(9, 1), "early")));
    assert_eq!(core.bind().unwrap().len(), EARLY_MAX - 1);
    assert!(core.bind().is_none(), "twice");
    assert_eq!(core.give_up_early(|_| true), None, "they are served now");
}

#[test]
fn a_packed_page_is_delivered_or_pushed_and_never_both() {
    let mut core = bound();
    assert_eq!(demand(&mut core, run(20, 1), "before"), [Piece::From(Origin::Source, run(20, 1))]);
    core.expect([20, 21, 22].map(PageNo).into_iter());
    assert_eq!(demand(&mut core, run(21, 1), "meanwhile"), [], "it comes with the pack");
    // Page 20 was on its way, and came from the source first.
    assert_eq!(core.arrived(run(20, 1)).len(), 1);
    let arrival = core.pack_arrived([page(20), page(21), page(22)].into_iter());
    let delivered: Vec<_> =
        arrival.deliver.iter().map(|(page, _, who)| (page.0, &who[..])).collect();
    assert_eq!(delivered, [(21, &["meanwhile"][..])]);
    assert_eq!(arrival.push, [page(22)]);
    // What is being pushed is served from memory, so the pusher waits for nobody.
    let (number, bytes) = page(22);
    assert_eq!(demand(&mut core, run(22, 1), "now"), [Piece::InHand(number, bytes)]);
    core.pushed([PageNo(22)].into_iter(), true);
    assert_eq!(demand(&mut core, run(22, 1), "again"), [Piece::From(Origin::Source, run(22, 1))]);
    assert_eq!((core.log().pushed, core.counts.pushed_pages), (vec![PageNo(22)], 1));
}

#[test]
fn a_lost_pack_leaves_nobody_waiting() {
    let mut core = bound();
    core.expect((20..26).map(PageNo));
    for wanted in [20, 21, 24] {
        assert_eq!(demand(&mut core, run(wanted, 1), "a"), []);
    }
    assert_eq!(core.pack_failed((20..26).map(PageNo)), [run(20, 2), run(24, 1)]);
    assert_eq!(core.arrived(run(20, 6)).len(), 3);
}

#[test]
fn a_closed_file_drops_all_who_wait() {
    let mut core = bound();
    demand(&mut core, run(10, 1), "a");
    core.expect([PageNo(12)].into_iter());
    assert_eq!(core.close(), ["a"]);
    assert_eq!(core.demand(run(10, 1), Some(&DATA), &"b"), Err(Refused::Closed));
    assert!(core.pack_arrived([page(12)].into_iter()).push.is_empty());
    assert!(core.bind().is_none());

    let mut core: Core<&str> = Core::new(PAGES);
    core.demand(run(1, 1), None, &"early").unwrap();
    assert_eq!(core.close(), ["early"]);
}

#[test]
fn the_record_is_bounded_and_says_so() {
    let mut core: Core<&str> = Core::new(RECORD_PAGES_MAX as u32 + 2);
    core.bind();
    let all = run(0, RECORD_PAGES_MAX as u32);
    core.demand(all, Some(&DATA), &"a").unwrap();
    core.demand(all, Some(&DATA), &"again").unwrap();
    assert!(!core.log().cut);
    core.demand(run(RECORD_PAGES_MAX as u32, 2), Some(&DATA), &"a").unwrap();
    assert!(core.log().cut);
    assert_eq!(core.log().touched.len(), RECORD_PAGES_MAX);
}
