//! Every package that Hearth needs on a machine, in one list, each with the
//! reason and with how to tell that it is there.

use crate::shell::output;
use hearth_programs::Program;
use hearth_programs::qemu::{QEMU, version_in, will_do};
use std::process::{Command, Stdio};

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Build images and run functions.
    Run,
    /// That, and run every test.
    Test,
}

/// A package.
#[derive(Debug)]
pub(crate) struct Need {
    /// Its name.
    pub(crate) package: &'static str,
    /// What for.
    pub(crate) reason: &'static str,
    /// Whether Debian 12's own is too old, so that backports must serve.
    pub(crate) newer_than_bookworm: bool,
    only_for_tests: bool,
    present: Present,
}

/// How to tell that a package is installed.
#[derive(Debug)]
enum Present {
    /// This program is found.
    Program(&'static str),
    /// One of these files is there.
    File(&'static [&'static str]),
    /// QEMU is found and new enough.
    Qemu,
    /// Python can make virtual environments with pip in them.
    PythonVenv,
}

const fn need(package: &'static str, present: Present, reason: &'static str) -> Need {
    Need { package, reason, newer_than_bookworm: false, only_for_tests: false, present }
}

const fn test_need(package: &'static str, present: Present, reason: &'static str) -> Need {
    Need { only_for_tests: true, ..need(package, present, reason) }
}

static NEEDS: [Need; 13] = [
    Need {
        newer_than_bookworm: true,
        ..need("qemu-system-x86", Present::Qemu, "the machine monitor; 10 or later")
    },
    need("erofs-utils", Present::Program("mkfs.erofs"), "makes the read-only images"),
    need("e2fsprogs", Present::Program("mkfs.ext4"), "makes the file system of /tmp"),
    need("nftables", Present::Program("nft"), "keeps sandboxes from the host's networks"),
    need("iproute2", Present::Program("ip"), "lays the sandboxes' networks"),
    need(
        "debian-archive-keyring",
        Present::File(&[
            "/usr/share/keyrings/debian-archive-keyring.gpg",
            "/usr/share/keyrings/debian-archive-keyring.pgp",
        ]),
        "checks the packages that images are made of",
    ),
    need(
        "libc6-dev",
        Present::File(&["/usr/lib/x86_64-linux-gnu/libc.a"]),
        "links the guest agent statically",
    ),
    test_need("default-jdk-headless", Present::Program("javac"), "compiles functions in Java"),
    test_need("etcd-server", Present::Program("etcd"), "keeps the metadata of a cluster"),
    test_need("haproxy", Present::Program("haproxy"), "stands before a cluster's front ends"),
    test_need(
        "libfaketime",
        Present::File(&["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"]),
        "sets the clocks of some of a cluster's nodes",
    ),
    test_need("python3", Present::Program("python3"), "runs the boto3 and AWS CLI suites"),
    test_need(
        "python3-venv",
        Present::PythonVenv,
        "installs boto3 and the AWS CLI beside the system",
    ),
];

/// What is not there yet.
pub(super) fn missing(purpose: Purpose) -> Vec<&'static Need> {
    let wanted = |n: &&Need| purpose == Purpose::Test || !n.only_for_tests;
    NEEDS.iter().filter(wanted).filter(|n| !n.present.holds()).collect()
}

impl Present {
    fn holds(&self) -> bool {
        match self {
            Self::Program(name) => Program::new(name, "").find().is_ok(),
            Self::File(paths) => paths.iter().any(|path| std::path::Path::new(path).exists()),
            Self::Qemu => qemu_will_do(),
            Self::PythonVenv => Command::new("python3")
                .args(["-c", "import ensurepip, venv"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success()),
        }
    }
}

fn qemu_will_do() -> bool {
    let said = QEMU.command().ok().and_then(|mut qemu| output(qemu.arg("--version")).ok());
    said.is_some_and(|said| version_in(&said).is_some_and(will_do))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_named_once_and_says_why() {
        for (at, need) in NEEDS.iter().enumerate() {
            assert!(!need.reason.is_empty());
            assert!(NEEDS[..at].iter().all(|other| other.package != need.package));
        }
    }

    #[test]
    fn presence_is_looked_up() {
        assert!(Present::Program("sh").holds());
        assert!(!Present::Program("no-such-program-here").holds());
        assert!(!Present::File(&["/no/such/file"]).holds());
    }
}
