//! Where an invocation's time went: what the server says of it, and how long
//! the caller waited in all.

use crate::client::Reply;
use crate::output;
use hearth_lambda_api::server_timing;
use hearth_types::{StageTimes, StartKind};
use std::time::Duration;

/// The times of one invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// How the sandbox was had.
    pub(crate) kind: StartKind,
    /// Time by stage, as the server says.
    pub(crate) stages: StageTimes,
    /// From the first byte sent to the last one received, as the caller saw.
    pub(crate) total: Duration,
}

impl Timing {
    /// Of a reply that took `total`; `None` if the server did not say.
    pub(crate) fn of(reply: &Reply, total: Duration) -> Option<Self> {
        let (kind, stages) = server_timing::parse(reply.header(server_timing::HEADER)?)?;
        Some(Self { kind, stages, total })
    }

    /// Everything that is not the function's own work.
    pub(crate) fn overhead(&self) -> Duration {
        self.total.saturating_sub(self.stages.run)
    }

    /// The stages, then total and overhead.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let ends = [("total", self.total), ("overhead", self.overhead())];
        self.stages.named().into_iter().chain(ends)
    }

    /// All of it in milliseconds, for JSON.
    pub(crate) fn to_json(self) -> serde_json::Map<String, serde_json::Value> {
        self.named().map(|(name, t)| (name.to_owned(), milliseconds(t).into())).collect()
    }

    /// What took any time, as a table.
    pub(crate) fn render(&self) -> String {
        let happened = self.named().filter(|(_, t)| !t.is_zero());
        let rows =
            happened.map(|(name, t)| vec![name.to_owned(), format!("{:.3}", milliseconds(t))]);
        output::render(&[self.kind.as_str(), ">ms"], rows.collect())
    }
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_with_total_and_overhead() {
        let stages = StageTimes {
            assign: Duration::from_micros(100),
            run: Duration::from_millis(2),
            ..StageTimes::default()
        };
        let total = Duration::from_micros(2500);
        let text = Timing { kind: StartKind::Warm, stages, total }.render();
        assert_eq!(
            text,
            "WARM         MS\nassign    0.100\nrun       2.000\ntotal     2.500\noverhead  0.500\n"
        );
    }
}
