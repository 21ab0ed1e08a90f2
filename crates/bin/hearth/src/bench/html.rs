//! A report as one page that needs nothing else: the graph, and the figures
//! of every stage.

use super::report::{Kind, Report};
use super::svg::{self, escape, human};
use std::fmt::Write;

/// How pages look, in dark and in light mode.
pub(crate) const STYLE: &str = "\
:root{--ink:#1f2328;--soft:#656d76;--line:#d8dee4;--page:#f6f8fa;--paper:#ffffff}\
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#8b949e;--line:#30363d;--page:#010409;--paper:#0d1117}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--page);color:var(--ink);\
font:15px/1.5 ui-sans-serif,system-ui,-apple-system,'Segoe UI',sans-serif}\
main{max-width:1040px;margin:0 auto;padding:40px 24px 64px}\
h1{font-size:26px;font-weight:600;margin:0 0 4px}\
p{color:var(--soft);margin:0 0 28px}\
section{background:var(--paper);border:1px solid var(--line);border-radius:12px;margin:0 0 24px;overflow-x:auto}\
svg{display:block;width:100%;min-width:640px}\
h2{font-size:16px;margin:20px 24px 8px}\
h2 i{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:10px}\
table{border-collapse:collapse;width:calc(100% - 48px);margin:0 24px 20px;font-variant-numeric:tabular-nums}\
th,td{text-align:right;padding:5px 0 5px 16px;border-top:1px solid var(--line);white-space:nowrap}\
thead th{border-top:0;color:var(--soft);font-weight:500}\
th:first-child{text-align:left;padding-left:0;font-weight:500}\
tr.sum th,tr.sum td{font-weight:600}\
.failed{padding:14px 24px;color:#d1242f}";

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let setup = &report.setup;
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{name}: latency</title><style>{STYLE}</style></head><body><main>\
         <h1>{name}</h1><p>{answered} invokes in {elapsed:.1} s, {concurrency} at once, \
         {payload} bytes of event · hearth bench {version} · {date}</p>\
         <section>{graph}</section>",
        name = escape(&setup.function),
        answered = report.answered(),
        elapsed = report.elapsed_s,
        concurrency = setup.concurrency,
        payload = setup.payload_bytes,
        version = env!("CARGO_PKG_VERSION"),
        date = escape(&setup.date),
        graph = svg::graph(report),
    );
    if !report.failures.is_empty() {
        let failures = report.failures.iter().map(|(name, n)| format!("{n} × {}", escape(name)));
        let failures = failures.collect::<Vec<_>>().join(", ");
        html += &format!("<section><div class=\"failed\">Failed: {failures}</div></section>");
    }
    for kind in &report.kinds {
        html += &section(kind);
    }
    html + "</main></body></html>\n"
}

fn section(kind: &Kind) -> String {
    let mut html = format!(
        "<section><h2><i style=\"background:{}\"></i>{}: {} invokes</h2><table><thead><tr>\
         <th>stage</th><th>p50</th><th>p90</th><th>p99</th><th>max</th><th>mean</th>\
         </tr></thead><tbody>",
        svg::kind_colour(kind.kind),
        kind.kind.as_str(),
        kind.totals.len()
    );
    for (name, s) in &kind.stages {
        let class = if matches!(*name, "total" | "overhead") { " class=\"sum\"" } else { "" };
        html += &format!("<tr{class}><th>{name}</th>");
        for ms in [s.p50, s.p90, s.p99, s.max, s.mean] {
            // Writing to a string cannot fail.
            let _ = write!(html, "<td>{}</td>", human(ms));
        }
        html += "</tr>";
    }
    html + "</tbody></table></section>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::example;

    #[test]
    fn holds_the_graph_and_a_table_for_every_kind() {
        let html = page(&example());
        svg::tests::assert_well_formed(&html);
        assert_eq!(html.matches("<svg").count(), 1);
        assert_eq!(html.matches("<table>").count(), 3);
        for kind in ["warm: 100 invokes", "restored: 20 invokes", "cold: 5 invokes"] {
            assert!(html.contains(kind), "{kind}");
        }
        assert!(html.contains("3 × TooManyRequestsException"));
    }

    #[test]
    fn needs_nothing_from_outside() {
        let html = page(&example()).replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "href=", "@import", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
