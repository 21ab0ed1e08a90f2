//! The checks, in the order in which a new host meets them.

use super::{Finding, host};
use hearth_images::{ImageCache, LoadError};
use hearth_programs::Program;
use hearth_types::Runtime;
use std::io;
use std::path::{Path, PathBuf};

/// What images and some functions take, with room to work.
const DISK_BYTES_MIN: u64 = 4 * 1024 * 1024 * 1024;
const IMAGES: &str = "guest images";
const IMAGES_BUILD: &str = "hearth images build";
/// Where cgroup v2 says which controllers it has.
const CGROUP_V2_CONTROLLERS: [&str; 2] =
    ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"];

/// Everything.
pub(super) fn all(data_dir: &Path, image_cache: &Path) -> Vec<Finding> {
    let mut findings = vec![root(), qemu(), kvm()];
    findings.extend(programs());
    findings.extend([device("/dev/net/tun", "modprobe tun"), cgroups()]);
    findings.extend([disk("data directory", data_dir), disk("image cache", image_cache)]);
    findings.push(images(image_cache));
    findings.push(left_behind(hearth_vmm::left_behind()));
    findings
}

fn root() -> Finding {
    let what = "root";
    match rustix::process::geteuid().is_root() {
        true => Finding::ok(what, "yes"),
        false => Finding::missing(
            what,
            "no: namespaces, cgroups and networks of sandboxes need it",
            "sudo hearth up",
        ),
    }
}

fn qemu() -> Finding {
    let what = "QEMU";
    let mend = "cargo xtask setup (Debian 12: apt-get install -t bookworm-backports \
                qemu-system-x86; Debian 13: apt-get install qemu-system-x86)";
    match hearth_vmm::qemu_version() {
        Ok(version) => Finding::ok(what, version),
        Err(error) => Finding::missing(what, error.to_string(), mend),
    }
}

fn kvm() -> Finding {
    let what = "KVM";
    let probe = hearth_vmm::probe_kvm();
    match probe.usable {
        true => Finding::ok(what, probe.words),
        false => Finding::weak(
            what,
            format!("{}; guests are emulated, ten to thirty times slower", probe.words),
            "run on hardware, or enable nested virtualisation for this machine",
        ),
    }
}

fn programs() -> Vec<Finding> {
    let one = |program: Program| match program.find() {
        Ok(path) => Finding::ok(program.name, path.display().to_string()),
        Err(missing) => {
            let mend = format!("apt-get install {}", program.package);
            Finding::missing(program.name, missing.to_string(), mend)
        }
    };
    hearth_images::TOOLS.into_iter().chain(hearth_vmm::NETWORK_PROGRAMS).map(one).collect()
}

fn device(path: &'static str, mend: &str) -> Finding {
    match Path::new(path).exists() {
        true => Finding::ok(path, "there"),
        false => Finding::weak(path, "not there: functions will have no network", mend),
    }
}

fn cgroups() -> Finding {
    let what = "cgroups";
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let controllers = CGROUP_V2_CONTROLLERS.iter().filter_map(|p| std::fs::read_to_string(p).ok());
    let controllers = controllers.collect::<Vec<_>>().join(" ");
    match host::cgroups(&mounts, &controllers) {
        Ok(kind) => Finding::ok(what, format!("memory, cpu and pids by {kind}")),
        Err(lacking) => Finding::missing(
            what,
            format!("no controller for {lacking}"),
            "boot with systemd.unified_cgroup_hierarchy=1 cgroup_enable=memory",
        ),
    }
}

fn disk(what: &'static str, path: &Path) -> Finding {
    let gigabytes =
        |bytes: u64| format!("{:.1} GB free for {}", bytes as f64 / 1e9, path.display());
    match host::free_bytes(path) {
        Some(free) if free >= DISK_BYTES_MIN => Finding::ok(what, gigabytes(free)),
        Some(free) => Finding::weak(what, gigabytes(free), "free some space, or name another disk"),
        None => Finding::missing(what, format!("{} cannot be read", path.display()), "check it"),
    }
}

fn images(image_cache: &Path) -> Finding {
    let (what, build) = (IMAGES, IMAGES_BUILD);
    // `open` would make the directory; a doctor changes nothing.
    if !image_cache.exists() {
        return Finding::missing(what, "not built", build);
    }
    match ImageCache::open(image_cache).map(|cache| cache.load()) {
        Ok(Ok(images)) => built(images.runtime_layers.keys().copied()),
        Ok(Err(LoadError::NotBuilt(what_not))) => {
            Finding::missing(what, format!("not built ({what_not})"), build)
        }
        Ok(Err(LoadError::Stale(step))) => {
            Finding::missing(what, format!("out of date ({step})"), build)
        }
        Ok(Err(error)) => Finding::missing(what, error.to_string(), build),
        Err(error) => Finding::missing(what, error.to_string(), build),
    }
}

/// What servers left that did not end in order: given their data directories.
fn left_behind(found: io::Result<Vec<PathBuf>>) -> Finding {
    let what = "leftovers";
    match found.as_deref() {
        Ok([]) => Finding::ok(what, "none"),
        Ok(dirs) => {
            let dirs: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            Finding::weak(
                what,
                format!("of a server that did not end in order, on {}", dirs.join(", ")),
                "hearth up (the next start of any server clears them away)",
            )
        }
        Err(error) => Finding::weak(what, format!("cannot be told: {error}"), "sudo hearth doctor"),
    }
}

/// Images with these runtimes: none of them while a first build is under way.
fn built(runtimes: impl Iterator<Item = Runtime>) -> Finding {
    let names: Vec<_> = runtimes.map(|runtime| runtime.as_str()).collect();
    match names.is_empty() {
        true => Finding::missing(IMAGES, "built without a runtime so far", IMAGES_BUILD),
        false => Finding::ok(IMAGES, format!("built, with {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_bare_directory_has_no_images_and_stays_bare() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        assert_eq!(images(&cache).verdict, Verdict::Missing);
        assert!(!cache.exists());
        std::fs::create_dir(&cache).unwrap();
        let finding = images(&cache);
        assert_eq!(finding.verdict, Verdict::Missing);
        assert_eq!(finding.mend.as_deref(), Some("hearth images build"));
    }

    #[test]
    fn leftovers_are_named_with_their_mend() {
        assert_eq!(left_behind(Ok(vec![])).verdict, Verdict::Ok);
        let finding = left_behind(Ok(vec!["/srv/a".into(), "/srv/b".into()]));
        assert_eq!(finding.verdict, Verdict::Weak);
        assert!(finding.found.ends_with("/srv/a, /srv/b"), "{}", finding.found);
        assert!(finding.mend.unwrap().starts_with("hearth up"));
        assert_eq!(left_behind(Err(io::ErrorKind::PermissionDenied.into())).verdict, Verdict::Weak);
    }

    #[test]
    fn images_without_a_runtime_run_nothing() {
        assert_eq!(built(std::iter::empty()).verdict, Verdict::Missing);
        let finding = built([Runtime::Python313, Runtime::NodeJs22].into_iter());
        assert_eq!(finding.verdict, Verdict::Ok);
        assert_eq!(finding.found, "built, with python3.13, nodejs22.x");
    }

    #[test]
    fn every_trouble_names_its_mend() {
        let dir = tempfile::tempdir().unwrap();
        let findings = all(dir.path(), &dir.path().join("none"));
        let troubled = findings.iter().filter(|f| f.verdict != Verdict::Ok);
        assert!(troubled.clone().count() >= 1, "there are no images, at least");
        assert!(troubled.into_iter().all(|f| f.mend.is_some()));
    }
}
