//! Loads the kernel modules that the initramfs brings along.

use crate::error::{During, SetupError};
use rustix::io::Errno;
use std::fs;

/// Where the initramfs keeps modules, and `order`, their names in load order.
const MODULES: &str = "/modules";

/// Loads every module of the list; one that is there already is fine.
pub(crate) fn load() -> Result<(), SetupError> {
    let list = format!("{MODULES}/order");
    let order = match fs::read_to_string(&list) {
        // A kernel with everything built in needs no list.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.during(|| format!("read {list}"))?,
    };
    for name in order.lines().filter(|line| !line.is_empty()) {
        let path = format!("{MODULES}/{name}");
        let file = fs::File::open(&path).during(|| format!("open {path}"))?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e).during(|| format!("load {path}")),
        }
    }
    Ok(())
}
