//! Plain facts about this host.

use std::path::Path;

/// Bytes free to us where `path` is or would be made.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// How the memory, cpu and pids controllers can be had: `v2`, `v1`, or what is
/// missing of them.
pub(super) fn cgroups(mounts: &str, root_controllers: &str) -> Result<&'static str, String> {
    const WANTED: [&str; 3] = ["memory", "cpu", "pids"];
    let v2 = |name: &&str| root_controllers.split_whitespace().any(|c| c == *name);
    if WANTED.iter().all(v2) {
        return Ok("v2");
    }
    let v1 = |name: &str| {
        mounts.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(2);
            fields.next() == Some("cgroup")
                && fields.next().is_some_and(|options| options.split(',').any(|o| o == name))
        })
    };
    let lacking: Vec<_> = WANTED.into_iter().filter(|name| !v1(name)).collect();
    if lacking.is_empty() { Ok("v1") } else { Err(lacking.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_of_either_kind() {
        assert_eq!(cgroups("", "cpuset cpu io memory pids"), Ok("v2"));
        let v1 = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                  cgroup /sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct 0 0\n\
                  cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n\
                  cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroups(v1, ""), Ok("v1"));
        assert_eq!(cgroups("", "cpu io"), Err("memory, cpu, pids".into()));
    }

    #[test]
    fn free_space_of_a_directory_that_is_yet_to_be_made() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(&dir.path().join("a/b")).unwrap() > 0);
    }
}
