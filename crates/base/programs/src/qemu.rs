//! Which QEMU will do.

use crate::Program;

/// The machine monitor.
pub const QEMU: Program = Program::new("qemu-system-x86_64", "qemu-system-x86");
/// The oldest that will do: 7.2's emulation corrupts flags after `cmpxchg16b`,
/// so that current kernels crash at boot; 10 is known to be right.
pub const MAJOR_MIN: u32 = 10;

/// The version in `QEMU emulator version 10.0.2 (Debian …)`.
pub fn version_in(output: &str) -> Option<&str> {
    output.split_whitespace().skip_while(|word| *word != "version").nth(1)
}

/// Whether a version is new enough.
pub fn will_do(version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| major >= MAJOR_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_judges_the_version() {
        let line = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\n…";
        assert_eq!(version_in(line), Some("10.0.2"));
        assert_eq!(version_in("sh: not found"), None);
        assert!(will_do("10.0.2") && will_do("11.1"));
        assert!(!will_do("7.2.17") && !will_do("unknown"));
    }
}
