//! How much of a disk sandboxes' scratch disks may take.
//!
//! They are sparse, so what is promised is not yet taken. It is held back all
//! the same: otherwise functions that fill their `/tmp` would fill the disk on
//! which the server keeps its own state.

use hearth_types::EphemeralStorageMb;
use std::io;
use std::path::Path;

/// Share of what is free at start; the rest is for code, logs and the stores.
const SHARE_PERCENT: u64 = 80;

/// Bytes for scratch disks under `dir`.
pub(crate) fn for_sandboxes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let bytes = free / 100 * SHARE_PERCENT;
    if bytes < u64::from(EphemeralStorageMb::MIN) * 1024 * 1024 {
        tracing::warn!(
            free_mib = free >> 20,
            dir = %dir.display(),
            "too little disk is free for even one sandbox: free some, name another data \
             directory, or say with --disk-limit what may be promised"
        );
    }
    Ok(bytes)
}
