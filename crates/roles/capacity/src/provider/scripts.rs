//! Programs that tests run.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a shell script. Another process does: a file that this one has open to write
/// cannot be run, and a child that some other test is just starting would have it open too.
pub(super) fn write_script(path: &Path, text: &str) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    drop(input);
    assert!(writer.wait().unwrap().success());
}
