//! The latency distribution as one SVG: a lane per kind on a common logarithmic
//! axis, and beneath, where the mean invoke of each kind spends its time.
//!
//! ```text
//! title
//! warm      ▁▃█▅▂▁  p50 p90 p99
//! restored          ▂▅█▃▁
//! cold                       ▁▄█▃
//!         ─┴────┴────┴────┴────┴─  ms
//! stages  ████████▒▒▒▒░░░░
//! ```
//!
//! It needs nothing from outside, and follows the viewer's dark or light mode.

use super::report::{Kind, Report};
use super::stats::LogScale;
use hearth_types::{StageTimes, StartKind};
use std::fmt::{Display, Write};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 128.0;
const RIGHT: f64 = 40.0;
const TITLE_HEIGHT: f64 = 76.0;
const LANE_HEIGHT: f64 = 122.0;
/// Room above a lane's highest bar, for three rows of percentile labels.
const LABELS_HEIGHT: f64 = 46.0;
const AXIS_HEIGHT: f64 = 68.0;
const BAR_HEIGHT: f64 = 26.0;
const BAR_PITCH: f64 = 40.0;
const LEGEND_HEIGHT: f64 = 44.0;
/// Bars of a lane: fewer where there are few invokes to fill them.
const BINS: [(usize, usize); 3] = [(400, 180), (60, 90), (0, 45)];
/// Beyond so many ticks only powers of ten are labelled.
const LABELLED_TICKS_MAX: usize = 11;
/// Room that the label of a percentile takes.
const MARK_TEXT_WIDTH: f64 = 110.0;
/// A segment that is narrower in every bar has no place in the legend.
const SEGMENT_SEEN_WIDTH: f64 = 1.0;
/// A segment narrower than this holds no text.
const SEGMENT_TEXT_WIDTH: f64 = 64.0;

/// What is in no stage: HTTP, checking the signature, the way there and back.
const REST: &str = "overhead";

/// Plain rules, no variables: many viewers of SVG know none.
const STYLE: &str = "\
.hearth{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',sans-serif;font-size:13px}\
.hearth text{fill:#1f2328}.hearth .soft{fill:#656d76}\
.hearth .halo{stroke:#ffffff;stroke-width:3;stroke-linejoin:round;paint-order:stroke}\
.hearth .paper{fill:#ffffff}.hearth .grid{stroke:#d8dee4;stroke-width:1}\
@media (prefers-color-scheme:dark){.hearth text{fill:#e6edf3}.hearth .soft{fill:#8b949e}\
.hearth .halo{stroke:#0d1117}.hearth .paper{fill:#0d1117}.hearth .grid{stroke:#30363d}}\
.hearth .title{font-size:19px;font-weight:600}.hearth .kind{font-size:15px;font-weight:600}\
.hearth .mark{font-size:11px;font-variant-numeric:tabular-nums}\
.hearth .inside{fill:#ffffff;font-size:11px}";

/// The colour of a kind, in graphs and pages.
pub(super) fn kind_colour(kind: StartKind) -> &'static str {
    match kind {
        StartKind::Warm => "#f0883e",
        StartKind::Restored => "#a371f7",
        StartKind::Cold => "#388bfd",
        StartKind::Booted => "#6e7781",
    }
}

/// The colour of a stage: none that is a kind's, and white text reads on it.
fn stage_colour(stage: &str) -> &'static str {
    match stage {
        "queue" => "#8b949e",
        "assign" => "#9a6700",
        "place" => "#c9510c",
        "fetch" => "#bf3989",
        "resume" => "#1b7c83",
        "unique" => "#7da32c",
        "init" => "#b08800",
        "run" => "#2c8a4b",
        _ => "#57606a",
    }
}

/// The whole graph.
pub(crate) fn graph(report: &Report) -> String {
    let kinds = &report.kinds;
    let totals = kinds.iter().flat_map(|k| k.totals.iter().copied());
    let lanes_end = TITLE_HEIGHT + LANE_HEIGHT * kinds.len() as f64;
    let bars_begin = lanes_end + AXIS_HEIGHT;
    let height = bars_begin + BAR_PITCH * kinds.len() as f64 + LEGEND_HEIGHT;
    let mut svg = Svg::open(height, &title(report));
    svg.text(LEFT - 104.0, 34.0, "title", "start", &title(report));
    svg.text(LEFT - 104.0, 56.0, "soft", "start", &subtitle(report));
    if let Some(scale) = LogScale::around(totals) {
        svg.axis(&scale, TITLE_HEIGHT, lanes_end);
        for (at, kind) in kinds.iter().enumerate() {
            svg.lane(kind, &scale, TITLE_HEIGHT + LANE_HEIGHT * (at + 1) as f64);
        }
    }
    let bars: Vec<_> = kinds.iter().map(segments).collect();
    for (at, (kind, segments)) in kinds.iter().zip(&bars).enumerate() {
        svg.stage_bar(kind, segments, bars_begin + BAR_PITCH * at as f64);
    }
    let in_order = StageTimes::default().named().map(|(name, _)| name).into_iter().chain([REST]);
    let seen = |bar: &[(&str, f64)], name: &str| {
        let width = bar.iter().find(|(n, _)| *n == name).map(|(_, ms)| width_of(*ms, bar));
        width.is_some_and(|width| width >= SEGMENT_SEEN_WIDTH)
    };
    let shown = |name: &&str| bars.iter().any(|bar| seen(bar, name));
    if !kinds.is_empty() {
        svg.text(
            LEFT,
            bars_begin - 12.0,
            "soft mark",
            "start",
            "Where the mean invoke's time goes",
        );
    }
    svg.legend(&in_order.filter(shown).collect::<Vec<_>>(), height - LEGEND_HEIGHT / 2.0);
    svg.close()
}

fn title(report: &Report) -> String {
    format!("Invoke latency of {}", report.setup.function)
}

fn subtitle(report: &Report) -> String {
    // Between cold starts most time goes into forcing them: no rate to tell.
    let rate = match report.setup.forced_cold {
        true => String::new(),
        false => format!(", {:.0} a second", report.per_second),
    };
    format!(
        "{} invokes, {} at once{}{rate}, as the client saw them",
        report.answered(),
        report.setup.concurrency,
        report.forcing(),
    )
}

/// Mean time of each stage, and what is left of the mean total.
fn segments(kind: &Kind) -> Vec<(&'static str, f64)> {
    let stages = kind.stages.iter().filter(|(name, _)| !matches!(*name, "total" | "overhead"));
    let mut segments: Vec<_> = stages.map(|(name, s)| (*name, s.mean)).collect();
    let rest = kind.stage("total").mean - segments.iter().map(|(_, ms)| ms).sum::<f64>();
    if rest > 0.0 {
        segments.push((REST, rest));
    }
    segments
}

/// A time with three digits or so, in the unit that suits it.
pub(super) fn human(ms: f64) -> String {
    match ms {
        ..0.1 => format!("{:.0} µs", ms * 1e3),
        ..10.0 => format!("{ms:.2} ms"),
        ..100.0 => format!("{ms:.1} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1e3),
    }
}

/// A round number, without digits it does not need.
fn tick_label(ms: f64) -> String {
    match ms {
        ..0.999 => format!("{:.0} µs", ms * 1e3),
        ..999.0 => format!("{ms:.0} ms"),
        _ => format!("{:.0} s", ms / 1e3),
    }
}

/// Text as it may stand in XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

struct Svg(String);

impl Svg {
    fn open(height: f64, label: &str) -> Self {
        let mut svg = Self(String::new());
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hearth\" viewBox=\"0 0 {WIDTH} {height}\" \
             role=\"img\" aria-label=\"{}\"><style>{STYLE}</style>\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" class=\"paper\"/>",
            escape(label)
        ));
        svg
    }

    fn close(mut self) -> String {
        self.put("</svg>");
        self.0
    }

    fn put(&mut self, part: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{part}");
    }

    fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        ));
    }

    fn axis(&mut self, scale: &LogScale, top: f64, bottom: f64) {
        let ticks = scale.ticks();
        let is_decade = |ms: f64| (ms.log10() - ms.log10().round()).abs() < 1e-6;
        for &ms in &ticks {
            let x = x_of(scale, ms);
            self.put(format_args!(
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\" class=\"grid\"/>"
            ));
            if ticks.len() <= LABELLED_TICKS_MAX || is_decade(ms) {
                self.text(x, bottom + 20.0, "soft mark", "middle", &tick_label(ms));
            }
        }
    }

    fn lane(&mut self, kind: &Kind, scale: &LogScale, baseline: f64) {
        let colour = kind_colour(kind.kind);
        let invokes = kind.totals.len();
        let bins = BINS.iter().find(|(from, _)| invokes >= *from).map_or(BINS[0].1, |(_, n)| *n);
        let counts = scale.histogram(&kind.totals, bins);
        let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
        let full = LANE_HEIGHT - LABELS_HEIGHT;
        let step = (WIDTH - LEFT - RIGHT) / bins as f64;
        let mut path = format!("M{LEFT:.1},{baseline:.1}");
        for (at, count) in counts.iter().enumerate() {
            let y = baseline - full * *count as f64 / most;
            let x = LEFT + step * at as f64;
            path += &format!("L{x:.1},{y:.1}L{:.1},{y:.1}", x + step);
        }
        path += &format!("L{:.1},{baseline:.1}Z", WIDTH - RIGHT);
        self.put(format_args!(
            "<path class=\"kind-{}\" d=\"{path}\" fill=\"{colour}\" fill-opacity=\".55\" \
             stroke=\"{colour}\" stroke-width=\"1\" stroke-linejoin=\"round\"/>",
            kind.kind.as_str()
        ));
        let summary = kind.stage("total");
        let mut marks =
            [("p50", summary.p50, ""), ("p90", summary.p90, "5 3"), ("p99", summary.p99, "2 3")];
        // The marks of a narrow distribution lie side by side: each label has a
        // row of its own, and the mark that other labels reach across is the
        // lowest.
        let is_left = |ms| x_of(scale, ms) > WIDTH - RIGHT - MARK_TEXT_WIDTH;
        if is_left(summary.p99) {
            marks.reverse();
        }
        let mut labels = Vec::new();
        for (row, (name, ms, dashes)) in marks.into_iter().enumerate() {
            let x = x_of(scale, ms);
            let y = baseline - LANE_HEIGHT + 16.0 + 13.0 * row as f64;
            self.put(format_args!(
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{baseline:.1}\" \
                 stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"{dashes}\"/>",
                y - 9.0
            ));
            let label = format!("{name}  {}", human(ms));
            labels.push(match is_left(ms) {
                true => (x - 5.0, y, "end", label),
                false => (x + 5.0, y, "start", label),
            });
        }
        // Over the lines, which must not strike them out.
        for (x, y, anchor, label) in labels {
            self.text(x, y, "mark halo", anchor, &label);
        }
        self.put(format_args!(
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{baseline:.1}\" y2=\"{baseline:.1}\" class=\"grid\"/>",
            WIDTH - RIGHT
        ));
        self.put(format_args!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"{colour}\"/>",
            LEFT - 99.0,
            baseline - 34.0
        ));
        self.text(LEFT - 86.0, baseline - 29.0, "kind", "start", kind.kind.as_str());
        let count = format!("{} invokes", kind.totals.len());
        self.text(LEFT - 86.0, baseline - 12.0, "soft mark", "start", &count);
    }

    fn stage_bar(&mut self, kind: &Kind, segments: &[(&'static str, f64)], top: f64) {
        let whole: f64 = segments.iter().map(|(_, ms)| ms).sum();
        let middle = top + BAR_HEIGHT / 2.0 + 4.0;
        self.text(LEFT - 104.0, middle - 6.0, "", "start", kind.kind.as_str());
        let mean = format!("mean {}", human(whole));
        self.text(LEFT - 104.0, middle + 8.0, "soft mark", "start", &mean);
        let mut x = LEFT;
        for (name, ms) in segments {
            let width = width_of(*ms, segments);
            self.put(format_args!(
                "<rect x=\"{x:.2}\" y=\"{top:.1}\" width=\"{width:.2}\" height=\"{BAR_HEIGHT}\" \
                 fill=\"{}\"><title>{}: {}</title></rect>",
                stage_colour(name),
                escape(name),
                human(*ms)
            ));
            if width >= SEGMENT_TEXT_WIDTH {
                self.text(x + width / 2.0, middle, "inside", "middle", &human(*ms));
            }
            x += width;
        }
    }

    fn legend(&mut self, stages: &[&str], y: f64) {
        let mut x = LEFT;
        for stage in stages {
            self.put(format_args!(
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{}\"/>",
                y - 9.0,
                stage_colour(stage)
            ));
            self.text(x + 15.0, y, "soft mark", "start", stage);
            x += 34.0 + 6.4 * stage.len() as f64;
        }
    }
}

/// How wide the segment of `ms` is in this bar.
fn width_of(ms: f64, bar: &[(&str, f64)]) -> f64 {
    let whole: f64 = bar.iter().map(|(_, ms)| ms).sum();
    (WIDTH - LEFT - RIGHT) * ms / whole.max(f64::MIN_POSITIVE)
}

fn x_of(scale: &LogScale, ms: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * scale.position(ms)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bench::report::tests::example;
    use crate::bench::stats::Summary;

    /// Panics unless every tag is closed in order and no text is unescaped.
    pub(crate) fn assert_well_formed(xml: &str) {
        let mut open: Vec<String> = Vec::new();
        let mut rest = xml.trim_start_matches("<!doctype html>");
        while let Some((text, tail)) = rest.split_once('<') {
            let is_style = open.last().is_some_and(|tag| tag == "style");
            assert!(is_style || !text.contains('>'), "stray > in {text:?}");
            let (tag, tail) = tail.split_once('>').expect("an unfinished tag");
            rest = tail;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "closed in the wrong order");
            } else if !tag.ends_with('/') && !tag.starts_with("meta") {
                assert_eq!(tag.matches('"').count() % 2, 0, "odd quotes in <{tag}>");
                open.push(tag.split_whitespace().next().unwrap().to_owned());
            }
        }
        assert!(open.is_empty(), "never closed: {open:?}");
    }

    #[test]
    fn draws_every_kind_with_its_marks() {
        let svg = graph(&example());
        assert_well_formed(&svg);
        for kind in ["kind-warm", "kind-restored", "kind-cold"] {
            assert_eq!(svg.matches(kind).count(), 1, "{kind}");
        }
        for mark in ["p50", "p90", "p99"] {
            assert_eq!(svg.matches(&format!(">{mark}  ")).count(), 3, "{mark}");
        }
        assert!(svg.contains("init: 900 ms"), "stages of the cold ones");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "a number went wrong");
    }

    #[test]
    fn the_legend_names_what_can_be_seen() {
        let mut report = example();
        // A microsecond of two seconds.
        let sliver = Summary { mean: 0.001, ..Summary::default() };
        report.kinds[2].stages.insert(0, ("place", sliver));
        let svg = graph(&report);
        assert!(svg.contains("<title>place: 1 µs</title>"));
        assert!(svg.contains(">init</text>") && !svg.contains(">place</text>"));
    }

    #[test]
    fn says_what_was_forced() {
        let mut report = example();
        report.setup.forced_cold = true;
        report.setup.warm_each = 50;
        assert!(graph(&report).contains("cold starts forced, 50 warm after each"));
    }

    #[test]
    fn needs_nothing_from_outside() {
        let svg = graph(&example()).replace("http://www.w3.org/2000/svg", "");
        assert!(!svg.contains("http:") && !svg.contains("href") && !svg.contains("url("));
    }

    #[test]
    fn draws_one_sample_and_none() {
        let mut report = example();
        report.kinds.truncate(1);
        report.kinds[0].totals.truncate(1);
        assert_well_formed(&graph(&report));
        report.kinds.clear();
        let empty = graph(&report);
        assert_well_formed(&empty);
        assert!(!empty.contains("NaN"));
    }

    #[test]
    fn names_cannot_break_out() {
        let mut report = example();
        report.setup.function = "<script>\"&".into();
        assert!(!graph(&report).contains("<script>"));
    }

    #[test]
    fn times_read_well() {
        let texts = [0.0312, 0.62, 12.34, 345.6, 1503.0].map(human);
        assert_eq!(texts, ["31 µs", "0.62 ms", "12.3 ms", "346 ms", "1.50 s"]);
        assert_eq!([0.5, 20.0, 5000.0].map(tick_label), ["500 µs", "20 ms", "5 s"]);
    }
}
