//! The lines that Lambda writes around a function's own output.

use crate::failure::Failure;
use hearth_services::worker::Started;
use hearth_types::{MemoryMb, RequestId, Timestamp, Version};
use std::time::Duration;

/// The first line of an invocation.
pub(crate) fn start(id: RequestId, version: Version) -> String {
    format!("START RequestId: {id} Version: {version}\n")
}

/// What an invocation's last lines say.
pub(crate) struct Report<'a> {
    pub(crate) id: RequestId,
    pub(crate) run: Duration,
    pub(crate) started: Option<Started>,
    pub(crate) memory: MemoryMb,
    pub(crate) memory_used_mb: u32,
    pub(crate) failure: Option<&'a Failure>,
}

impl Report<'_> {
    /// The failure's own line if there is one, then `END` and `REPORT`.
    pub(crate) fn lines(&self, now: Timestamp) -> String {
        let mut out = String::new();
        match self.failure {
            Some(timeout @ Failure::TimedOut(_)) => {
                out += &format!("{} {} {}\n\n", now.to_rfc3339(), self.id, timeout.text());
            }
            Some(other) => {
                out += &format!(
                    "RequestId: {} Error: {}\n{}\n",
                    self.id,
                    other.text(),
                    other.error_type()
                );
            }
            None => {}
        }
        out += &format!("END RequestId: {}\n", self.id);
        let init = match self.started {
            Some(Started::Initialised(took)) => took,
            _ => Duration::ZERO,
        };
        out += &format!(
            "REPORT RequestId: {}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB\t",
            self.id,
            millis(self.run),
            billed(self.run + init),
            self.memory,
            self.memory_used_mb,
        );
        match self.started {
            Some(Started::Initialised(took)) => {
                out += &format!("Init Duration: {:.2} ms\t", millis(took));
            }
            Some(Started::Restored(took)) => {
                out += &format!(
                    "Restore Duration: {:.2} ms\tBilled Restore Duration: {} ms\t",
                    millis(took),
                    billed(took)
                );
            }
            None => {}
        }
        match self.failure {
            Some(Failure::TimedOut(_)) => out += "Status: timeout",
            Some(other) => {
                out += &format!("Status: error\tError Type: {}", other.error_type());
            }
            None => {}
        }
        out.push('\n');
        out
    }
}

/// The one line of an init, or of a clone's restore, that failed.
pub(crate) fn start_failed(took: Duration, phase: Phase, error_type: &str) -> String {
    let (report, duration, phase) = match phase {
        Phase::Init => ("INIT_REPORT", "Init Duration", "init"),
        Phase::Restore => ("RESTORE_REPORT", "Restore Duration", "restore"),
    };
    format!(
        "{report} {duration}: {:.2} ms\tPhase: {phase}\tStatus: error\tError Type: {error_type}\n",
        millis(took)
    )
}

/// What comes before a sandbox's first event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// The function's initialisation.
    Init,
    /// A clone's restore.
    Restore,
}

/// Whole milliseconds, the last begun.
fn billed(d: Duration) -> u64 {
    millis(d).ceil() as u64
}

fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_read_like_lambdas() {
        let id = RequestId::new();
        let lines = Report {
            id,
            run: Duration::from_micros(1234),
            started: Some(Started::Initialised(Duration::from_micros(100_500))),
            memory: MemoryMb::default(),
            memory_used_mb: 40,
            failure: None,
        }
        .lines(Timestamp(0));
        assert_eq!(
            lines,
            format!(
                "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: 1.23 ms\tBilled Duration: 102 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 100.50 ms\t\n"
            )
        );
    }
}
