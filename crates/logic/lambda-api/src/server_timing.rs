//! The `Server-Timing` header of an invoke's response: how the sandbox was had
//! and where the time went. One formatter and one parser, so that `hearth bench`
//! reads exactly what the front end writes.
//!
//! ```text
//! kind;desc=warm, queue;dur=0.003, assign;dur=0.021, run;dur=1.250
//! ```
//!
//! Durations are milliseconds with microsecond precision; stages that took no
//! time are left out.

use hearth_types::{StageTimes, StartKind};
use std::fmt::Write;
use std::time::Duration;

/// The header's name.
pub const HEADER: &str = "server-timing";

/// The header's value.
pub fn format(start: StartKind, stages: &StageTimes) -> String {
    let mut out = String::with_capacity(128);
    let _infallible = write!(out, "kind;desc={}", start.as_str());
    for (name, took) in stages.named() {
        let us = took.as_micros();
        if us > 0 {
            let _infallible = write!(out, ", {name};dur={}.{:03}", us / 1000, us % 1000);
        }
    }
    out
}

/// Reads a value back. Entries it does not know are skipped, as the header's
/// standard asks; `None` if it does not say what kind of start it was.
pub fn parse(value: &str) -> Option<(StartKind, StageTimes)> {
    let mut start = None;
    let mut stages = StageTimes::default();
    for entry in value.split(',') {
        let (name, parameter) = entry.trim().split_once(';')?;
        match parameter.split_once('=')? {
            ("desc", kind) if name == "kind" => {
                start = StartKind::ALL.into_iter().find(|k| k.as_str() == kind);
            }
            ("dur", ms) => {
                let Some(took) = parse_ms(ms) else { continue };
                if let Some(stage) = stage_mut(&mut stages, name) {
                    *stage = took;
                }
            }
            _ => {}
        }
    }
    Some((start?, stages))
}

fn parse_ms(text: &str) -> Option<Duration> {
    let ms: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(ms / 1000.0).ok()
}

fn stage_mut<'s>(stages: &'s mut StageTimes, name: &str) -> Option<&'s mut Duration> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_standard_says() {
        let stages = StageTimes {
            queue: Duration::from_micros(3),
            run: Duration::from_micros(1_250),
            ..StageTimes::default()
        };
        assert_eq!(
            format(StartKind::Warm, &stages),
            "kind;desc=warm, queue;dur=0.003, run;dur=1.250"
        );
    }

    proptest::proptest! {
        #[test]
        fn parsing_inverts_formatting(us in proptest::array::uniform8(0u64..10_000_000), kind in 0usize..4) {
            let [queue, assign, place, fetch, resume, unique, init, run] = us.map(Duration::from_micros);
            let stages = StageTimes { queue, assign, place, fetch, resume, unique, init, run };
            let kind = StartKind::ALL[kind];
            let (read_kind, read) = parse(&format(kind, &stages)).unwrap();
            assert_eq!(read_kind, kind);
            for ((name, a), (_, b)) in stages.named().into_iter().zip(read.named()) {
                assert!(a.abs_diff(b) < Duration::from_nanos(100), "{name}: {a:?} {b:?}");
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
