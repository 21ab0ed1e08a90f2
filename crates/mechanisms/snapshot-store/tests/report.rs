//! What an operator is told of a snapshot.

mod support;

use hearth_snapshot_store::{Cell, Holds, PageMap, Parts, Summary, WorkingSetOf, WorkingSetParts};
use support::{Fixture, captured, file_of, function, layer, pages};

#[tokio::test(flavor = "multi_thread")]
async fn a_clones_parts_are_its_own_its_parents_and_zeros() {
    let fixture = Fixture::new();
    let store = fixture.store().await;
    let os =
        store.save(layer("os"), captured(&pages([1, 2, 3, 0, 0, 0, 0, 0]), None)).await.unwrap();
    let mut guest = captured(&pages([1, 9, 3, 8, 0, 0, 0, 7]), Some(&os));
    guest.scratch = Some(file_of(&[1; 5000]));
    let saved = store.save(function(1), guest).await.unwrap();
    let set = WorkingSetOf { pages: vec![7, 0, 5, 1], recordings: 2 };
    let learnt = store.learn(&saved, &set).await.unwrap();

    let summary = Summary::of(&learnt);
    assert_eq!(summary.parent, Some(os.name.owner().to_string()));
    assert_eq!(
        summary.memory,
        Parts {
            bytes: 8 * 4096,
            own_bytes: 3 * 4096,
            own_chunks: 1,
            shared_bytes: 2 * 4096,
            shared_chunks: 1,
            zero_pages: 3
        }
    );
    assert_eq!(summary.scratch.unwrap().own_bytes, 2 * 4096);
    assert_eq!((summary.state_bytes, summary.images.len()), (9, 1));
    assert_eq!(
        summary.working_set.unwrap(),
        WorkingSetParts {
            pages: 4,
            zero_pages: 1,
            packed_bytes: 3 * 4096,
            packed_chunks: 1,
            recordings: 2
        }
    );
    let summary = Summary::of(&os);
    assert_eq!((summary.parent, summary.working_set, summary.scratch), (None, None, None));
    assert_eq!((summary.memory.own_bytes, summary.memory.shared_chunks), (3 * 4096, 0));

    use Holds::{Own, Shared, Zero};
    let cell = |holds, touched| Cell { holds, touched };
    let map = PageMap::of(&learnt, 8);
    assert_eq!((map.pages, map.pages_per_cell, map.touched), (8, 1, 3));
    let expected = [
        cell(Shared, Some(1)),
        cell(Own, Some(2)),
        cell(Shared, None),
        cell(Own, None),
        cell(Zero, None),
        cell(Zero, None),
        cell(Zero, None),
        cell(Own, Some(0)),
    ];
    assert_eq!(map.cells, expected);
    // Three cells are not enough of them, and two pages are the next power of two.
    for cells_max in [4, 7] {
        let map = PageMap::of(&learnt, cells_max);
        assert_eq!(map.pages_per_cell, 2);
        let expected = [cell(Own, Some(1)), cell(Own, None), cell(Zero, None), cell(Own, Some(0))];
        assert_eq!(map.cells, expected);
    }
    assert_eq!(PageMap::of(&learnt, 3).cells.len(), 2);
    assert_eq!(PageMap::of(&learnt, 1).cells, [cell(Own, Some(0))]);
}
