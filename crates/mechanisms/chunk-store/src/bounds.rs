//! What bounds the store's queues, waits and retries.

use std::time::Duration;

/// Chunks and manifests fetched at a time from the origin: 32 MiB of chunks on
/// their way, enough to hide an object store's latency, and twice what one restore
/// fetches ahead, so that others' page faults have a way.
pub(crate) const FETCHES_MAX: usize = 64;

/// The same from disk, on its own: an origin that hangs must not hold up what
/// is here. A disk's queue and a machine's cores are full with fewer.
pub(crate) const DISK_READS_MAX: usize = 16;

/// Chunks that one reader of a whole file has on their way: enough to keep the
/// cores busy without taking all of [`FETCHES_MAX`] from page faults.
pub(crate) const PREFETCH_PARALLEL: usize = 8;

/// Pieces that a stream of a file has in hand: one that is taken and the next. Many
/// slow readers may be there at once.
pub(crate) const STREAM_AHEAD: usize = 2;

/// Files written at a time; each holds a few chunks. More would only share the
/// same disk and cores.
pub(crate) const WRITES_MAX: usize = 4;

/// Chunks of one file being sealed and stored at a time.
pub(crate) const WRITE_PARALLEL: usize = 8;

/// Windows of one file being compared with its parent at a time.
pub(crate) const COMPARE_PARALLEL: usize = 4;

/// Tries at the origin before it counts as unreachable. A restore waits for it:
/// few.
pub(crate) const ORIGIN_ATTEMPTS: u32 = 3;

/// Pause before the second try; four times as long before the third.
pub(crate) const ORIGIN_BACKOFF: Duration = Duration::from_millis(50);
pub(crate) const ORIGIN_BACKOFF_FACTOR: u32 = 4;

/// Notes of bad objects that are read: more than that, and most of an origin is lost.
pub(crate) const SUSPECTS_MAX: usize = 64 * 1024;

/// Suspects among a file's objects that are looked at to say whether it is damaged:
/// each may take all tries at the origin, and one that is bad is enough.
pub(crate) const SUSPECTS_CHECKED_MAX: usize = 16;

/// Objects deleted at a time by a collection, which is in no hurry.
pub(crate) const DELETE_PARALLEL: usize = 4;

/// Objects that one record of doomed ones names: some seconds of deletions, so that who
/// has to wait for them does not wait for long.
pub(crate) const DOOMED_MAX: usize = 250;

/// How often it is looked whether they are gone.
pub(crate) const DOOMED_LOOK: Duration = Duration::from_millis(200);

/// Longest that a write waits for that, each time.
pub(crate) const DOOMED_WAIT: Duration = Duration::from_secs(60);

/// Times that a file is stored before its write gives up: it took long, and a collection
/// was about to delete the same each time.
pub(crate) const WRITE_ATTEMPTS: u32 = 3;

/// Most bytes that one read returns. Larger than any request of a page server.
pub(crate) const READ_BYTES_MAX: usize = 16 << 20;

/// Owners' keys kept open. When there are more they are read and unsealed anew.
pub(crate) const KEYS_OPEN_MAX: usize = 4096;

/// Age at which the salt of files of unknown origin is replaced: it bounds how
/// much depends on any one chunk, at the price of storing equal bytes again.
pub(crate) const SALT_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a node of a cluster uses the salt before it looks whether another node has
/// replaced it: one small read, against bytes that are stored twice in the meantime.
pub(crate) const SALT_SEEN_MAX: Duration = Duration::from_secs(600);
