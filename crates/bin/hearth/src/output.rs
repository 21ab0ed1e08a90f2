//! What commands print: aligned tables for people, JSON for programs.

use serde::Serialize;
use std::io::Write;

/// The form of a command's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document for programs.
    Json,
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// A number of bytes in the unit that suits it.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut units = UNITS.iter();
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut number, mut unit) = (bytes as f64 / 1024.0, units.next());
    // What would be rounded to a thousand and more of a unit is one of the next.
    while number >= 1023.95
        && let Some(next) = units.next()
    {
        (number, unit) = (number / 1024.0, Some(next));
    }
    format!("{number:.1} {}", unit.copied().unwrap_or_default())
}

/// Prints text as it is. A reader that went away (`| head`) is no error.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    bytes(text.as_bytes())
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => Ok(done?),
    }
}

/// Prints rows under a header; with no rows, only `none` on stderr.
pub(crate) fn table(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    none: &str,
) -> anyhow::Result<()> {
    let rows: Vec<_> = rows.into_iter().collect();
    if rows.is_empty() {
        eprintln!("{none}");
        return Ok(());
    }
    text(&render(header, rows))
}

/// A table as text: no borders, two spaces between columns, numbers to the right
/// when a header asks for it with a leading `>`.
pub(crate) fn render(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let right: Vec<bool> = header.iter().map(|h| h.starts_with('>')).collect();
    let titles = header.iter().map(|h| h.trim_start_matches('>').to_uppercase()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let widest = |column: usize| {
        lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(widest).collect();
    let mut text = String::new();
    for line in &lines {
        let cells =
            line.iter().zip(&widths).zip(&right).map(|((cell, &width), right)| match right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        let sizes = [0, 1023, 1024, (1 << 20) - 1, 3 << 19, 10 << 30, u64::MAX];
        let expected = ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.5 MiB", "10.0 GiB"];
        let sizes = sizes.map(size);
        assert_eq!(sizes[..6], expected);
        assert!(sizes[6].ends_with(" TiB"));
    }

    #[test]
    fn columns_align_without_borders() {
        let text = render(&["name", "memory"], vec![vec!["hello".into(), "128".into()]]);
        assert_eq!(text, "NAME   MEMORY\nhello  128\n");
        let text = render(&["k", ">ms"], vec![vec!["é".into(), "1.5".into()]]);
        assert_eq!(text, "K   MS\né  1.5\n");
    }
}
