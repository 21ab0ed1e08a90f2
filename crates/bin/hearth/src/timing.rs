//! Where an invocation's time went, as the server says in `Server-Timing`:
//! `kind;desc=warm, queue;dur=0.003, …, run;dur=1.2`, in milliseconds.

use crate::output;
use hearth_types::{StageTimes, StartKind};
use std::time::Duration;

/// A parsed `Server-Timing` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// How the sandbox was had.
    pub(crate) kind: StartKind,
    /// Time by stage.
    pub(crate) stages: StageTimes,
}

impl Timing {
    /// Reads the header; `None` if it is not Hearth's.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut kind = None;
        let mut stages = StageTimes::default();
        for metric in header.split(',') {
            let mut parts = metric.split(';').map(str::trim);
            let name = parts.next()?;
            for (key, value) in parts.filter_map(|p| p.split_once('=')) {
                let value = value.trim_matches('"');
                match (name, key) {
                    ("kind", "desc") => {
                        kind = [StartKind::Warm, StartKind::Restored, StartKind::Cold]
                            .into_iter()
                            .find(|k| k.as_str() == value)
                    }
                    (_, "dur") => {
                        let ms = value.parse::<f64>().ok()?;
                        let time = Duration::try_from_secs_f64(ms / 1e3).ok()?;
                        if let Some(stage) = slot(&mut stages, name) {
                            *stage = time;
                        }
                    }
                    _ => {}
                }
            }
        }
        Some(Self { kind: kind?, stages })
    }

    /// Stage times in milliseconds, for JSON.
    pub(crate) fn stages_ms(&self) -> serde_json::Map<String, serde_json::Value> {
        self.stages
            .named()
            .into_iter()
            .map(|(n, t)| (n.to_owned(), milliseconds(t).into()))
            .collect()
    }

    /// The stages as a table, with what the client saw in all.
    pub(crate) fn render(&self, total: Duration) -> String {
        let overhead = total.saturating_sub(self.stages.run);
        let ends = [("total", total), ("overhead", overhead)];
        let happened = self.stages.named().into_iter().chain(ends).filter(|(_, t)| !t.is_zero());
        let rows =
            happened.map(|(name, t)| vec![name.to_owned(), format!("{:.3}", milliseconds(t))]);
        output::render(&[self.kind.as_str(), ">ms"], rows.collect())
    }
}

fn slot<'a>(stages: &'a mut StageTimes, name: &str) -> Option<&'a mut Duration> {
    Some(match name {
        "queue" => &mut stages.queue,
        "assign" => &mut stages.assign,
        "place" => &mut stages.place,
        "fetch" => &mut stages.fetch,
        "resume" => &mut stages.resume,
        "unique" => &mut stages.unique,
        "init" => &mut stages.init,
        "run" => &mut stages.run,
        _ => return None,
    })
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_servers_header() {
        let header = "kind;desc=cold, queue;dur=0.003, resume;dur=1500, run;dur=2.5, later;dur=1";
        let timing = Timing::parse(header).unwrap();
        assert_eq!(timing.kind, StartKind::Cold);
        assert_eq!(timing.stages.queue, Duration::from_micros(3));
        assert_eq!(timing.stages.resume, Duration::from_millis(1500));
        assert_eq!(timing.stages.run, Duration::from_micros(2500));
    }

    #[test]
    fn what_is_not_ours_is_not_taken() {
        for other in ["", "db;dur=5", "kind;desc=hot", "kind;desc=warm, run;dur=-1"] {
            assert_eq!(Timing::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_table_ends_with_total_and_overhead() {
        let timing = Timing::parse("kind;desc=warm, assign;dur=0.1, run;dur=2").unwrap();
        let text = timing.render(Duration::from_micros(2500));
        assert!(text.starts_with("WARM"), "{text}");
        assert!(text.contains("overhead  0.500"), "{text}");
        assert!(!text.contains("queue"), "{text}");
    }
}
