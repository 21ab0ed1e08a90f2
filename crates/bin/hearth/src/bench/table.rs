//! A report as text.

use super::report::Report;
use crate::output;

/// One table for each kind: a row for each stage.
pub(crate) fn render(report: &Report) -> String {
    let setup = &report.setup;
    let mut text = format!(
        "{}: {} invokes in {:.2} s ({:.1}/s), concurrency {}{}\n",
        setup.function,
        report.answered(),
        report.elapsed_s,
        report.per_second,
        setup.concurrency,
        report.forcing(),
    );
    for (name, count) in &report.failures {
        text += &format!("failed {count} times: {name}\n");
    }
    for kind in &report.kinds {
        text += &format!("\n{}, {} invokes, in ms\n", kind.kind.as_str(), kind.totals.len());
        let rows = kind.stages.iter().map(|(name, s)| {
            let cells = [s.p50, s.p90, s.p99, s.max].map(|ms| format!("{ms:.3}"));
            std::iter::once((*name).to_owned()).chain(cells).collect()
        });
        text += &output::render(&["stage", ">p50", ">p90", ">p99", ">max"], rows.collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::example;

    #[test]
    fn every_kind_has_its_table() {
        let text = render(&example());
        for part in ["warm, 100 invokes", "restored, 20", "cold, 5", "failed 3 times", "62.5/s"] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert_eq!(text.matches("STAGE").count(), 3);
        assert!(text.lines().any(|l| l.starts_with("overhead")));
    }
}
