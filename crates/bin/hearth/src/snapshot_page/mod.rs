//! A snapshot as one page that needs nothing else: a map of its memory, and what it
//! consists of.

mod map;

use crate::bench::{PAGE_STYLE, escape};
use crate::operator::Shown;
use crate::output::size;
use hearth_chunk_store::PAGE_BYTES;
use hearth_snapshot_store::{PageMap, Summary};

/// The page.
pub(crate) fn page(title: &str, shown: &Shown, map: &PageMap) -> String {
    let summary = shown.line.summary.as_ref();
    let subtitle = summary.map_or_else(String::new, |summary| {
        format!(
            "captured {} · {} MiB of memory · {} · hearth {}",
            summary.created.to_rfc3339(),
            summary.memory_mib,
            summary.machine,
            env!("CARGO_PKG_VERSION")
        )
    });
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}: snapshot</title><style>{PAGE_STYLE}</style></head><body><main>\
         <h1>{title}</h1><p>{subtitle}</p><section>{map}</section>",
        title = escape(title),
        subtitle = escape(&subtitle),
        map = map::draw(title, map),
    );
    if let Some(summary) = summary {
        html += &parts(summary);
    }
    if !shown.chain.is_empty() {
        let rows = shown.chain.iter().map(|link| {
            let [own, shared] = match &link.summary {
                Some(summary) => [summary.memory.own_bytes, summary.memory.shared_bytes].map(size),
                None => ["", ""].map(ToOwned::to_owned),
            };
            [escape(&link.name), own, shared, escape(&link.state)]
        });
        html += &table("Layers beneath", &["layer", "own", "shared", ""], rows);
    }
    html + "</main></body></html>\n"
}

fn parts(summary: &Summary) -> String {
    let memory = &summary.memory;
    let zero = memory.zero_pages * PAGE_BYTES as u64;
    let share = |bytes: u64| format!("{:.1} %", bytes as f64 * 100.0 / memory.bytes.max(1) as f64);
    let mut rows = vec![
        ("own", memory.own_bytes, Some(memory.own_chunks)),
        ("shared with the layer", memory.shared_bytes, Some(memory.shared_chunks)),
        ("zeros, not stored", zero, None),
    ];
    if let Some(set) = &summary.working_set {
        rows.push(("working set, packed", set.packed_bytes, Some(set.packed_chunks)));
    }
    let rows = rows.into_iter().map(|(name, bytes, chunks)| {
        let pages = (bytes / PAGE_BYTES as u64).to_string();
        let chunks = chunks.map_or_else(String::new, |chunks| chunks.to_string());
        [name.to_owned(), pages, size(bytes), share(bytes), chunks]
    });
    table("Memory", &["pages of", "pages", "bytes", "of memory", "chunks"], rows)
}

/// A table whose cells are escaped.
fn table<const N: usize>(
    title: &str,
    header: &[&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let header: String = header.iter().map(|name| format!("<th>{name}</th>")).collect();
    let row = |cells: [String; N]| {
        let [first, rest @ ..] = &cells[..] else { return String::new() };
        let rest: String = rest.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr><th>{first}</th>{rest}</tr>")
    };
    let rows: String = rows.into_iter().map(row).collect();
    format!(
        "<section><h2>{title}</h2><table><thead><tr>{header}</tr></thead>\
         <tbody>{rows}</tbody></table></section>"
    )
}

#[cfg(test)]
pub(crate) mod tests;
