//! A map of a memory file: a cell for each page, or for a few, row by row.
//!
//! ```text
//! title
//!  0 MiB  ▒▒▒▒··▓▓▒▒▒··········    · zero   ▒ the layer's   ▓ own
//!         ▓▓██████··▒▒▒▒▒▒▒▒▒··    █ in the working set, brighter the earlier
//! 32 MiB  ····················
//! ```
//!
//! Cells of one kind are one path of runs, in units of cells, so that a map of a
//! hundred thousand pages is a small file. It follows the viewer's dark or light mode.

use crate::bench::escape;
use hearth_chunk_store::PAGE_BYTES;
use hearth_snapshot_store::{Cell, Holds, PageMap};
use std::fmt::Write;

/// Cells in a row: a MiB, where a cell is a page.
const COLUMNS: usize = 256;
/// Size of a cell.
const CELL: f64 = 3.5;
const WIDTH: f64 = 1020.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 32.0;
/// Labels at the left, at most so many.
const LABELS_MAX: usize = 16;

/// Shades of the working set, the pages touched first first.
const SHADES: [&str; 8] =
    ["#ffdf5d", "#ffb84d", "#ff8f4a", "#f96a5c", "#e14a77", "#bb3a91", "#8f34a3", "#6a33a8"];

/// Plain rules, no variables: many viewers of SVG know none.
const STYLE: &str = "\
.map{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',sans-serif;font-size:12px}\
.map text{fill:#1f2328}.map .soft{fill:#656d76;font-variant-numeric:tabular-nums}\
.map .title{font-size:19px;font-weight:600}\
.map .paper{fill:#ffffff}.map .zero{fill:#f1f3f6}.map .shared{fill:#a9bcd4}.map .own{fill:#2f6fd0}\
@media (prefers-color-scheme:dark){.map text{fill:#e6edf3}.map .soft{fill:#8b949e}\
.map .paper{fill:#0d1117}.map .zero{fill:#161b22}.map .shared{fill:#3a4a61}.map .own{fill:#4c8df5}}\
.map path{shape-rendering:crispEdges}";

/// How a cell is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Zero,
    Shared,
    Own,
    /// In the working set.
    Touched(usize),
}

impl Look {
    fn of(cell: &Cell, touched: u32) -> Self {
        match (cell.touched, cell.holds) {
            (Some(rank), _) => {
                let shade = u64::from(rank) * SHADES.len() as u64 / u64::from(touched.max(1));
                Self::Touched((shade as usize).min(SHADES.len() - 1))
            }
            (None, Holds::Own) => Self::Own,
            (None, Holds::Shared) => Self::Shared,
            (None, Holds::Zero) => Self::Zero,
        }
    }
}

/// The map.
pub(super) fn draw(title: &str, map: &PageMap) -> String {
    let looks: Vec<Look> = map.cells.iter().map(|cell| Look::of(cell, map.touched)).collect();
    let rows = looks.len().div_ceil(COLUMNS).max(1);
    let height = TOP + rows as f64 * CELL + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"map\" \
         viewBox=\"0 0 {WIDTH} {height:.1}\" role=\"img\" aria-label=\"{title}: memory\">\
         <style>{STYLE}</style>\
         <rect width=\"{WIDTH}\" height=\"{height:.1}\" rx=\"10\" class=\"paper\"/>\
         <text x=\"24\" y=\"36\" class=\"title\">Memory of {title}</text>",
        title = escape(title),
    );
    legend(&mut svg, map);
    labels(&mut svg, map, rows);
    // Writing to a string cannot fail, here and below.
    let _ = write!(svg, "<g transform=\"translate({LEFT},{TOP}) scale({CELL})\">");
    path(&mut svg, &looks, Look::Zero, "class=\"zero\"", "zeros");
    path(&mut svg, &looks, Look::Shared, "class=\"shared\"", "shared with the layer");
    path(&mut svg, &looks, Look::Own, "class=\"own\"", "own");
    for (shade, colour) in SHADES.iter().enumerate() {
        let (from, to) = (shade * 100 / SHADES.len(), (shade + 1) * 100 / SHADES.len());
        let title = format!("working set: touched at {from} to {to} % of it");
        path(&mut svg, &looks, Look::Touched(shade), &format!("fill=\"{colour}\""), &title);
    }
    svg + "</g></svg>"
}

/// All cells of one look.
fn path(svg: &mut String, looks: &[Look], look: Look, paint: &str, title: &str) {
    let mut runs = String::new();
    for (y, row) in looks.chunks(COLUMNS).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(PartialEq::eq) {
            let width = run.len();
            if run[0] == look {
                let _ = write!(runs, "M{x} {y}h{width}v1h-{width}z");
            }
            x += width;
        }
    }
    if !runs.is_empty() {
        let _ = write!(svg, "<path {paint} d=\"{runs}\"><title>{title}</title></path>");
    }
}

fn labels(svg: &mut String, map: &PageMap, rows: usize) {
    let row_bytes = COLUMNS as u64 * u64::from(map.pages_per_cell) * PAGE_BYTES as u64;
    let step = rows.div_ceil(LABELS_MAX).next_power_of_two();
    for row in (0..rows).step_by(step) {
        let mib = (row as u64 * row_bytes) >> 20;
        let y = TOP + row as f64 * CELL + 9.0;
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{y:.1}\" class=\"soft\" text-anchor=\"end\">{mib} MiB</text>",
            LEFT - 10.0
        );
    }
}

fn legend(svg: &mut String, map: &PageMap) {
    const Y: f64 = 66.0;
    let mut x = LEFT;
    let mut swatch = |paints: &[String], text: &str| {
        for paint in paints {
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" {paint}/>",
                Y - 10.0
            );
            x += 12.0;
        }
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{Y}\" class=\"soft\">{text}</text>", x + 6.0);
        x += 26.0 + 6.6 * text.chars().count() as f64;
    };
    swatch(&["class=\"zero\"".to_owned()], "zeros");
    swatch(&["class=\"shared\"".to_owned()], "the layer's");
    swatch(&["class=\"own\"".to_owned()], "own");
    if map.touched > 0 {
        let shades = SHADES.map(|colour| format!("fill=\"{colour}\""));
        swatch(&shades, &format!("working set, first to last of {} pages", map.touched));
    }
    let cell = match map.pages_per_cell {
        1 => "a cell is a page of 4 KiB".to_owned(),
        pages => format!("a cell is {pages} pages: the most that any of them is"),
    };
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"36\" class=\"soft\" text-anchor=\"end\">{cell}</text>",
        LEFT + COLUMNS as f64 * CELL
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_touches_are_brighter_than_late_ones() {
        let cell = |touched| Cell { holds: Holds::Own, touched };
        assert!(Look::of(&cell(Some(0)), 100) == Look::Touched(0));
        assert!(Look::of(&cell(Some(99)), 100) == Look::Touched(SHADES.len() - 1));
        assert!(Look::of(&cell(Some(0)), 1) == Look::Touched(0));
        assert!(Look::of(&cell(None), 100) == Look::Own);
    }

    #[test]
    fn runs_end_with_their_row() {
        let looks = vec![Look::Own; COLUMNS + 2];
        let mut svg = String::new();
        path(&mut svg, &looks, Look::Own, "", "own");
        assert!(svg.contains("\"M0 0h256v1h-256zM0 1h2v1h-2z\""), "{svg}");
        svg.clear();
        path(&mut svg, &looks, Look::Zero, "", "");
        assert_eq!(svg, "");
    }
}
