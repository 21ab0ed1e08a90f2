//! Pages of a small snapshot, and of a large one.

use super::page;
use crate::bench::assert_well_formed;
use crate::operator::{Link, Shown, SnapshotLine};
use hearth_snapshot_store::{Cell, Holds, PageMap};
use serde_json::json;

/// As it comes over the operator's socket.
pub(crate) fn example() -> Shown {
    let digest = "0123456789abcdef".repeat(4);
    let parts = json!({
        "bytes": 1 << 20, "own_bytes": 128 << 10, "own_chunks": 1,
        "shared_bytes": 512 << 10, "shared_chunks": 2, "zero_pages": 96,
    });
    let summary = json!({
        "created": 1_700_000_000_042_i64, "machine": "qemu-tcg 10.0.2", "memory_mib": 1, "vcpus": 1,
        "images": ["sha256-os", "code/image.erofs"], "parent": format!("layer/python3.13-{digest}"),
        "memory": parts, "state_bytes": 65536, "scratch": null,
        "working_set": {
            "pages": 20, "zero_pages": 4, "packed_bytes": 64 << 10, "packed_chunks": 1,
            "recordings": 3,
        },
    });
    let line: SnapshotLine = serde_json::from_value(json!({
        "name": "snapshots/000000000001/x", "summary": summary, "error": null,
        "of": { "account": "000000000001", "function": "hello", "version": "3" },
    }))
    .unwrap();
    let link = |name: &str, state: &str, summary: Option<&serde_json::Value>| Link {
        name: format!("layer/{name}-{digest}"),
        state: state.to_owned(),
        summary: summary.map(|summary| serde_json::from_value(summary.clone()).unwrap()),
    };
    let chain = vec![link("python3.13", "there", Some(&summary)), link("os", "gone", None)];
    Shown { line, chain, map: None }
}

/// 256 pages of all kinds.
pub(crate) fn map() -> PageMap {
    let cell = |page: u32| Cell {
        holds: [Holds::Own, Holds::Shared, Holds::Shared, Holds::Zero][page as usize / 64],
        touched: page.is_multiple_of(16).then_some(page / 16),
    };
    PageMap { pages: 256, pages_per_cell: 1, cells: (0..256).map(cell).collect(), touched: 16 }
}

#[test]
fn holds_the_map_and_a_table_of_each_kind() {
    let html = page("hello:3", &example(), &map());
    assert_well_formed(&html);
    assert_eq!((html.matches("<svg").count(), html.matches("<table>").count()), (1, 2));
    for class in ["class=\"zero\" d=", "class=\"shared\" d=", "class=\"own\" d="] {
        assert_eq!(html.matches(class).count(), 1, "{class}");
    }
    assert_eq!(html.matches("working set: touched at").count(), 8, "a path for each shade");
    assert!(html.contains("prefers-color-scheme:dark") && !html.contains("NaN"));
}

#[test]
fn needs_nothing_from_outside_and_names_cannot_break_out() {
    let html = page("<script>\"&", &example(), &map());
    assert_well_formed(&html);
    let html = html.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "src=", "href=", "@import", "<script"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn a_large_memory_is_still_a_small_page() {
    // Ten GiB, in as many cells as there can be, no two neighbours alike.
    let cell = |at: u32| Cell {
        holds: if at.is_multiple_of(2) { Holds::Own } else { Holds::Shared },
        touched: at.is_multiple_of(64).then_some(at / 64),
    };
    let cells: Vec<_> = (0..81_920).map(cell).collect();
    let map = PageMap { pages: 2_621_440, pages_per_cell: 32, cells, touched: 1280 };
    let html = page("large:1", &example(), &map);
    assert!(html.len() < 3 << 20, "{} bytes", html.len());
    assert!(html.contains("a cell is 32 pages") && html.contains("MiB</text>"));
}
