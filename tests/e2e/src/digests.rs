//! A function whose memory and disk are told by their digests.

use crate::Draft;

/// Answers with a digest of much memory that it filled while initialising: a wrong
/// byte of it would tell.
const DIGESTS: &str = r#"
import hashlib, os, time
BORN = time.time_ns()
def ballast():
    block, blocks = b"hearth", []
    for _ in range(1024):
        block = hashlib.sha256(block).digest()
        blocks.append(block * 128)
    return b"".join(blocks)
BALLAST = ballast()
with open("/tmp/ballast", "wb") as file: file.write(BALLAST)
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    with open("/tmp/ballast", "rb") as file: disk = file.read()
    return {
        "digest": hashlib.sha256(BALLAST).hexdigest(),
        "disk": hashlib.sha256(disk).hexdigest(),
        "born": BORN,
        "name": os.environ.get("NAME"),
    }
"#;

/// One of that name, which is restored once it is published.
pub fn digests(name: &str) -> Draft {
    Draft::python(name, DIGESTS).memory_mb(256).env("NAME", name).snap_start()
}
