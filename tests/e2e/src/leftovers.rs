//! What a server holds on the host, and whether any of it is still there.

use crate::wait::eventually;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The kernel takes down namespaces, and with them devices, after their last
/// process; so what is left is only judged after a moment.
const SETTLE: Duration = Duration::from_secs(5);
/// How deep a server's own group lies in the cgroup hierarchies.
const CGROUP_DEPTH_MAX: usize = 8;

/// What one life of a server held at one moment.
#[derive(Debug)]
pub struct Leftovers {
    pid: i32,
    data_dir: PathBuf,
    processes: Vec<Process>,
    names: Names,
}

/// How the server names what it makes on the host.
#[derive(Debug)]
struct Names {
    /// Part of the names of its cgroups and of its nftables table.
    instance: String,
    /// The block of network devices that it has claimed.
    block: String,
}

/// A process, told from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    name: String,
    started: u64,
}

impl Leftovers {
    /// Takes stock of the server `pid` on `data_dir`.
    pub(crate) fn of(pid: i32, data_dir: &Path) -> Result<Self> {
        let processes = descendants(pid, &all_processes()?);
        let names = Names::of(pid)?;
        Ok(Self { pid, data_dir: data_dir.to_owned(), processes, names })
    }

    /// Ids of the VMM processes among it.
    pub fn vmms(&self) -> Vec<i32> {
        let vmms = self.processes.iter().filter(|p| p.name.starts_with("qemu"));
        vmms.map(|p| p.pid).collect()
    }

    /// Ids of the processes among it that serve pages.
    pub fn page_servers(&self) -> Vec<i32> {
        let serves = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"page-server")
        };
        self.processes.iter().map(|p| p.pid).filter(serves).collect()
    }

    /// Files that guests' memory is in while they are captured.
    pub fn captured(&self) -> Result<Vec<PathBuf>> {
        let ours = format!("hearth-guest-{}-", self.pid);
        let files = fs::read_dir("/dev/shm")?.map(|entry| Ok(entry?.path()));
        let files: Result<Vec<_>> = files.collect();
        let is_ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&ours))
        };
        Ok(files?.into_iter().filter(is_ours).collect())
    }

    /// Waits until nothing of it exists; what does is the error.
    pub async fn gone(&self) -> Result<()> {
        let mut left = Vec::new();
        let gone = eventually("an empty host", SETTLE, || {
            let looked = self.left();
            let empty = looked.as_ref().map(Vec::is_empty).unwrap_or(false);
            let result = looked.map(|l| {
                left = l;
                empty.then_some(())
            });
            async { result }
        });
        gone.await.with_context(|| format!("left behind: {left:#?}"))
    }

    /// Waits until none of its processes lives.
    pub async fn processes_gone(&self) -> Result<()> {
        eventually("the end of all VMMs", SETTLE, || async {
            Ok(living(&self.processes)?.is_empty().then_some(()))
        })
        .await
    }

    /// All that is still there, each in words.
    fn left(&self) -> Result<Vec<String>> {
        let mut left: Vec<String> =
            living(&self.processes)?.iter().map(|p| format!("process {p:?}")).collect();
        let below = format!("{}/", self.data_dir.display());
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        left.extend(mounts.lines().filter(|m| m.contains(&below)).map(|m| format!("mount {m}")));
        left.extend(sandbox_files(&self.data_dir)?);
        left.extend(self.captured()?.iter().map(|file| format!("file {}", file.display())));
        let mut cgroups = Vec::new();
        let group = format!("hearth-{}", self.names.instance);
        find_dirs(Path::new("/sys/fs/cgroup"), &group, CGROUP_DEPTH_MAX, &mut cgroups);
        left.extend(cgroups.iter().map(|dir| format!("cgroup {}", dir.display())));
        let tables = output_of(&["nft", "list", "tables"])?;
        let ours = tables.lines().filter(|line| line.contains(&self.names.instance));
        left.extend(ours.map(|line| format!("firewall {line}")));
        left.extend(self.devices()?.iter().map(|name| format!("network device {name}")));
        Ok(left)
    }

    fn devices(&self) -> Result<Vec<String>> {
        let claims = claims()?;
        if let Some(claim) = claims.iter().find(|claim| claim.block == self.names.block)
            && !open_files(self.pid).is_ok_and(|open| open.contains(&claim.socket))
        {
            // By now another server has this block, which it claims only once it is empty.
            return Ok(Vec::new());
        }
        let ours = format!("hth{}v", self.names.block);
        let names = fs::read_dir("/sys/class/net")?
            .map(|device| Ok(device?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<Result<_>>()?;
        Ok(names.into_iter().filter(|name| name.starts_with(&ours)).collect())
    }
}

/// A block of network devices that a server has claimed, by an abstract socket.
struct Claim {
    block: String,
    /// The socket, as links to it in `/proc` say.
    socket: String,
}

fn claims() -> Result<Vec<Claim>> {
    let all = fs::read_to_string("/proc/net/unix")?;
    let claims = all.lines().filter_map(|line| {
        let (fields, block) = line.split_once(" @hearth-block-")?;
        let socket = format!("socket:[{}]", fields.split_whitespace().nth(6)?);
        Some(Claim { block: block.trim().to_owned(), socket })
    });
    Ok(claims.collect())
}

impl Names {
    /// A server holds an abstract socket whose name says which devices are its
    /// own; its id is the hash of the directory that its VM driver has locked.
    fn of(pid: i32) -> Result<Self> {
        let open = open_files(pid)?;
        let dir = open
            .iter()
            .find_map(|file| Some(file.strip_suffix("/lock")?).filter(|d| d.ends_with("/vmm")));
        let digest = Sha256::digest(dir.context("the server has locked no vmm directory")?);
        let instance: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let table = format!("table inet hearth_{instance}");
        // If this fails, ids are made another way now, and nothing would be found.
        ensure!(output_of(&["nft", "list", "tables"])?.contains(&table), "no {table}");

        let claim = claims()?.into_iter().find(|claim| open.contains(&claim.socket));
        Ok(Self { instance, block: claim.context("the server has claimed no names")?.block })
    }
}

/// What a process's descriptors refer to.
fn open_files(pid: i32) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // It may be closed while we look.
        let Ok(target) = fs::read_link(entry?.path()) else { continue };
        files.push(target.to_string_lossy().into_owned());
    }
    Ok(files)
}

/// The files of sandboxes, which go with them.
fn sandbox_files(data_dir: &Path) -> Result<Vec<String>> {
    let dir = data_dir.join("worker/sandboxes");
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(format!("file {}", entry?.path().display()))).collect()
}

fn living(of: &[Process]) -> Result<Vec<Process>> {
    let now = all_processes()?;
    let lives = |p: &&Process| now.iter().any(|q| q.pid == p.pid && q.started == p.started);
    Ok(of.iter().filter(lives).cloned().collect())
}

fn all_processes() -> Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may end while we look.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        all.extend(parse_stat(pid, &stat));
    }
    Ok(all)
}

/// `PID (NAME) STATE PARENT …`, where the name may hold anything. The dead whom
/// nobody has waited for yet hold nothing more and do not count, once the last of
/// their threads is gone.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let [state, parent, ..] = fields[..] else { return None };
    let started = fields.get(19)?.parse().ok()?;
    let threads: u64 = fields.get(17)?.parse().ok()?;
    let dead = matches!(state, "Z" | "X") && threads <= 1;
    (!dead).then_some(Process { pid, parent: parent.parse().ok()?, name: name.into(), started })
}

fn descendants(of: i32, all: &[Process]) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|p| p.parent == parent) {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

fn find_dirs(within: &Path, name: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(within) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        if entry.file_name().to_string_lossy() == name {
            found.push(entry.path());
        } else if depth > 0 {
            find_dirs(&entry.path(), name, depth - 1, found);
        }
    }
}

fn output_of(command: &[&str]) -> Result<String> {
    let output = Command::new(command[0])
        .args(&command[1..])
        .output()
        .with_context(|| format!("run {}", command.join(" ")))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read_whatever_the_name() {
        let rest = "S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        let read = parse_stat(9, &format!("9 (a) (b c) {rest}")).unwrap();
        assert_eq!((read.parent, read.started, read.name.as_str()), (7, 4242, "a) (b c"));
        let dead = rest.replacen('S', "Z", 1);
        assert_eq!(parse_stat(9, &format!("9 (a) {dead}")), None);
        let dying = dead.replace(" 1 0 4242", " 2 0 4242");
        assert!(parse_stat(9, &format!("9 (a) {dying}")).is_some());
    }

    #[test]
    fn children_of_children_count() {
        let process = |pid, parent| Process { pid, parent, name: String::new(), started: 0 };
        let all = [process(2, 1), process(3, 2), process(4, 3), process(5, 1)];
        let pids: Vec<i32> = descendants(2, &all).iter().map(|p| p.pid).collect();
        assert_eq!(pids, [3, 4]);
    }
}
