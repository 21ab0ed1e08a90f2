//! What a chunk store tells its operator.

use crate::object::Level;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use std::sync::LazyLock;
use std::time::Duration;

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

const READS: &str = "hearth_chunks_reads_total";
const FETCH: &str = "hearth_chunks_fetch_seconds";
const READ_BYTES: &str = "hearth_chunks_read_bytes_total";
const CORRUPT: &str = "hearth_chunks_corrupt_total";
const HEALED: &str = "hearth_chunks_healed_total";
const WRITTEN: &str = "hearth_chunks_written_total";
const WRITTEN_BYTES: &str = "hearth_chunks_written_bytes_total";
const NOT_KEPT: &str = "hearth_chunks_not_kept_total";
const DISK_BYTES: &str = "hearth_chunks_disk_bytes";
const SWEPT: &str = "hearth_chunks_swept_total";

const LEVELS: [Level; 3] = [Level::Memory, Level::Disk, Level::Origin];

struct Metrics {
    hits: [Counter; 3],
    misses: [Counter; 3],
    fetch: [Histogram; 3],
    bytes: [Counter; 3],
    corrupt: [Counter; 3],
    healed: [Counter; 3],
    written: [Counter; 2],
    written_bytes: [Counter; 2],
    not_kept: Counter,
    disk_bytes: Gauge,
    swept: Counter,
}

/// Makes the store's metrics known to the recorder that is installed, at zero.
pub fn register_metrics() {
    Metrics::register();
}

/// A level had what was wanted.
pub(crate) fn hit(level: Level, bytes: usize, took: Option<Duration>) {
    METRICS.hits[level as usize].increment(1);
    METRICS.bytes[level as usize].increment(bytes as u64);
    if let Some(took) = took {
        METRICS.fetch[level as usize].record(took);
    }
}

/// A level did not have it.
pub(crate) fn missed(level: Level) {
    METRICS.misses[level as usize].increment(1);
}

/// A level had something else in its place.
pub(crate) fn corrupt(level: Level) {
    METRICS.corrupt[level as usize].increment(1);
}

/// A level has it again.
pub(crate) fn healed(level: Level) {
    METRICS.healed[level as usize].increment(1);
}

/// A chunk of a file that was written: new to the origin, or there already.
pub(crate) fn written(is_new: bool, bytes: usize) {
    METRICS.written[usize::from(!is_new)].increment(1);
    METRICS.written_bytes[usize::from(!is_new)].increment(bytes as u64);
}

/// The disk could not take something.
pub(crate) fn not_kept() {
    METRICS.not_kept.increment(1);
}

/// Bytes in the cache on disk.
pub(crate) fn disk_bytes(bytes: u64) {
    METRICS.disk_bytes.set(bytes as f64);
}

/// A collection deleted something.
pub(crate) fn swept() {
    METRICS.swept.increment(1);
}

impl Metrics {
    fn register() -> Self {
        describe_counter!(
            READS,
            Unit::Count,
            "Chunks and manifests looked for in each level (`memory`, `disk`, `origin`), by \
             `outcome`: `hit` or `miss`"
        );
        describe_histogram!(
            FETCH,
            Unit::Seconds,
            "From asking a level for a chunk to having it, opened"
        );
        describe_counter!(
            READ_BYTES,
            Unit::Bytes,
            "Bytes of chunks and manifests that each level served"
        );
        describe_counter!(
            CORRUPT,
            Unit::Count,
            "Chunks and manifests whose bytes did not match their name. They were not used: on \
             disk they are fetched again; at the origin that is noted, and who stores the same \
             stores it anew"
        );
        describe_counter!(HEALED, Unit::Count, "Those that were replaced by good ones");
        describe_counter!(
            WRITTEN,
            Unit::Count,
            "Chunks of files that were written, by whether the origin had them: `new` or `present`"
        );
        describe_counter!(WRITTEN_BYTES, Unit::Bytes, "Their bytes");
        describe_counter!(
            NOT_KEPT,
            Unit::Count,
            "Chunks and manifests that were served and not kept on disk, as it is full or failing"
        );
        describe_gauge!(DISK_BYTES, Unit::Bytes, "Bytes in the cache on disk");
        describe_counter!(SWEPT, Unit::Count, "Chunks and manifests that collections deleted");
        let counters = |name: &'static str| LEVELS.map(|l| counter!(name, "level" => l.as_str()));
        let reads = |outcome: &'static str| {
            LEVELS.map(|l| counter!(READS, "level" => l.as_str(), "outcome" => outcome))
        };
        Self {
            hits: reads("hit"),
            misses: reads("miss"),
            fetch: LEVELS.map(|l| histogram!(FETCH, "level" => l.as_str())),
            bytes: counters(READ_BYTES),
            corrupt: counters(CORRUPT),
            healed: counters(HEALED),
            written: ["new", "present"].map(|o| counter!(WRITTEN, "origin" => o)),
            written_bytes: ["new", "present"].map(|o| counter!(WRITTEN_BYTES, "origin" => o)),
            not_kept: counter!(NOT_KEPT),
            disk_bytes: gauge!(DISK_BYTES),
            swept: counter!(SWEPT),
        }
    }
}
