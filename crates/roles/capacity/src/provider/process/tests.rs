//! Real children: a script that stands in for `hearth`.

use super::*;
use crate::provider::scripts::write_script;
use hearth_types::WorkerId;
use tokio::time::{Duration, Instant, sleep};

struct Host(tempfile::TempDir);

impl Host {
    /// A program that writes down its arguments and its file, and then does this.
    fn new(then: &str) -> Self {
        Self::that("", then)
    }

    /// The same, but first of all it does something else.
    fn that(first: &str, then: &str) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        let text = format!("{first}\necho \"$@\" > \"$7.args\"\n{then}");
        write_script(&host.path("hearth"), &text);
        let template = "name = \"{name}\"\ndata-dir = \"{data-dir}\"\nport = {port}\n";
        fs::write(host.path("template"), template).unwrap();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn provider(&self, end_with_manager: bool) -> ProcessProvider {
        let config = ProcessConfig {
            template: self.path("template"),
            data_dir: self.path("workers"),
            name: "auto".parse().unwrap(),
            first_port: 9300,
            end_with_manager,
        };
        ProcessProvider::open(config, self.path("hearth")).unwrap()
    }
}

fn machine(node: &str) -> Machine {
    let (node, zone) = (node.parse().unwrap(), "a".parse().unwrap());
    Machine { node, worker: WorkerId::new(), zone }
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "waited too long");
        sleep(Duration::from_millis(5)).await;
    }
}

fn alive(provider: &ProcessProvider) -> Vec<Process> {
    provider.children.lock().values().map(|entry| entry.known.process).collect()
}

#[tokio::test]
async fn each_child_has_a_name_a_directory_and_a_port_of_its_own() {
    let host = Host::new("exec sleep 600");
    let provider = host.provider(true);
    provider.scale_up(&"a".parse().unwrap(), 2).await.unwrap();
    for (name, port) in [("auto-0", 9300), ("auto-1", 9301)] {
        let file = host.path(&format!("workers/{name}.toml"));
        let args = host.path(&format!("workers/{name}.toml.args"));
        let args = until(|| fs::read_to_string(&args).ok().filter(|a| a.ends_with('\n'))).await;
        assert_eq!(
            args.trim(),
            format!("node --roles worker --zone a --config {}", file.display())
        );
        let data = host.path("workers").join(name);
        let text = format!("name = \"{name}\"\ndata-dir = \"{}\"\nport = {port}\n", data.display());
        assert_eq!(fs::read_to_string(file).unwrap(), text);
        assert!(data.is_dir() && provider.owns(&name.parse().unwrap()));
    }
    let processes = alive(&provider);
    drop(provider);
    until(|| processes.iter().all(|p| !p.is_alive()).then_some(())).await;
}

#[tokio::test]
async fn one_that_is_stopped_makes_room_and_one_that_dies_is_told_of() {
    let host = Host::new("exec sleep 600");
    let provider = host.provider(true);
    provider.scale_up(&"a".parse().unwrap(), 2).await.unwrap();
    provider.scale_down(&machine("auto-0")).await.unwrap();
    let mut ended = Vec::new();
    until(|| {
        ended.extend(provider.ended());
        (!provider.owns(&"auto-0".parse().unwrap())).then_some(())
    })
    .await;
    assert_eq!(ended, [], "nobody is told of what was asked for");
    alive(&provider)[0].kill().unwrap();
    until(|| {
        ended.extend(provider.ended());
        (!ended.is_empty()).then_some(())
    })
    .await;
    let one = Ended { node: "auto-1".parse().unwrap(), zone: "a".parse().unwrap() };
    assert_eq!(ended, [one]);
    provider.scale_up(&"a".parse().unwrap(), 1).await.unwrap();
    assert!(provider.owns(&"auto-0".parse().unwrap()), "the first name is free again");
    // Whatever let one end by itself may do so again: other names come first.
    alive(&provider)[0].kill().unwrap();
    until(|| (!provider.ended().is_empty()).then_some(())).await;
    provider.scale_up(&"a".parse().unwrap(), 1).await.unwrap();
    assert!(provider.owns(&"auto-2".parse().unwrap()));
}

#[tokio::test]
async fn a_later_manager_finds_those_that_live_on() {
    let host = Host::new("exec sleep 600");
    let first = host.provider(false);
    first.scale_up(&"a".parse().unwrap(), 1).await.unwrap();
    let processes = alive(&first);
    drop(first);
    assert!(processes[0].is_alive());
    let second = host.provider(true);
    assert_eq!(alive(&second), processes);
    second.scale_up(&"b".parse().unwrap(), 1).await.unwrap();
    assert_eq!(alive(&second).len(), 2);
    second.scale_down(&machine("auto-0")).await.unwrap();
    until(|| (!processes[0].is_alive()).then_some(())).await;
}

#[tokio::test]
async fn one_that_does_not_end_when_asked_is_ended() {
    let host = Host::that("trap '' TERM", "while :; do sleep 1; done");
    let provider = host.provider(true);
    provider.scale_up(&"a".parse().unwrap(), 1).await.unwrap();
    let args = host.path("workers/auto-0.toml.args");
    until(|| fs::read_to_string(&args).ok().filter(|a| a.ends_with('\n'))).await;
    for _ in 0..=ASKED_MAX {
        provider.scale_down(&machine("auto-0")).await.unwrap();
    }
    until(|| {
        assert_eq!(provider.ended(), []);
        (!provider.owns(&"auto-0".parse().unwrap())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let host = Host::new("");
    fs::remove_file(host.path("hearth")).unwrap();
    let error = host.provider(false).scale_up(&"a".parse().unwrap(), 1).await.unwrap_err();
    assert!(error.to_string().contains("auto-0"), "{error}");
}
