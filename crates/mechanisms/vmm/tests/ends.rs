//! Every way in which a VMM, or Hearth, ends; and that nothing is left of it.

mod common;

use common::{Host, PATIENCE, VmSpec, leftovers, spec, until};
use hearth_vmm::{IsolationChoice, VmError, VmExitStatus, VmmOptions, open_driver};
use std::path::Path;
use std::process::{Command, Stdio};

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_guest_that_powers_off_or_panics_ends_by_itself() {
    let host = Host::open();
    for last_words in ["poweroff", "panic"] {
        let mut guest = host.boot().await;
        guest.send(last_words).await;
        let exit = tokio::time::timeout(PATIENCE, guest.vm.exited()).await.unwrap();
        assert_eq!(exit.status, VmExitStatus::Exited(0), "{last_words}: {exit:?}");
        assert!(!alive(guest.vm.pid()), "{last_words}");
    }
    host.driver.shutdown().await;
}

#[tokio::test]
async fn dropping_the_handle_or_the_start_kills() {
    let host = Host::open();
    let guest = host.boot().await;
    let pid = guest.vm.pid();
    drop(guest);
    until(|| !alive(pid)).await;

    // All eight slots, over and over, so a slot lost to a cancelled start shows.
    for _ in 0..10 {
        let start = host.driver.create(spec());
        let _ = tokio::time::timeout(std::time::Duration::from_millis(20), start).await;
    }
    until(|| host.members().is_empty()).await;
    host.boot().await.vm.kill().await;
    host.driver.shutdown().await;
}

#[tokio::test]
async fn slots_are_bounded_and_come_back() {
    let host = Host::open_with_slots(1);
    let guest = host.boot().await;
    let refused = host.driver.create(spec()).await.err().unwrap();
    assert!(matches!(refused, VmError::NoSlot { slots_max: 1 }), "{refused}");
    guest.vm.kill().await;
    host.boot().await;
    host.driver.shutdown().await;
    let refused = host.driver.create(spec()).await.err().unwrap();
    assert!(matches!(refused, VmError::ShuttingDown), "{refused}");
}

#[tokio::test]
async fn shutdown_leaves_nothing() {
    let host = Host::open();
    let (first, second) = (host.boot().await, host.boot().await);
    assert!(host.leftovers().iter().any(|left| left.contains("table")), "the check sees tables");
    host.driver.shutdown().await;
    assert!(!alive(first.vm.pid()) && !alive(second.vm.pid()));
    assert_eq!(first.vm.exited().await.status, VmExitStatus::Killed);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_machine_has_the_same_name_after_a_restart() {
    let Host { driver, state } = Host::open();
    let machine = driver.machine().to_owned();
    driver.shutdown().await;
    drop(driver);
    let again = Host::on(state, 8);
    assert_eq!(again.driver.machine(), machine);
    again.driver.shutdown().await;
    assert_eq!(again.leftovers(), Vec::<String>::new());
}

const STATE_DIR: &str = "HEARTH_VMM_TEST_STATE_DIR";

/// Not a test of its own: the Hearth that the next test kills.
#[tokio::test]
#[ignore = "run by sigkill_of_hearth_kills_its_vmms"]
async fn hearth_to_be_killed() {
    let Some(state_dir) = std::env::var_os(STATE_DIR) else { return };
    let options = VmmOptions { state_dir: state_dir.into(), slots_max: 4, allow_networks: vec![] };
    let (driver, _) = open_driver(IsolationChoice::Auto, &options).unwrap();
    let vm = driver.create(spec()).await.unwrap();
    println!("pid={}.", vm.pid());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn sigkill_of_hearth_kills_its_vmms() {
    let state = tempfile::tempdir().unwrap();
    let mut hearth = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hearth_to_be_killed", "--ignored", "--nocapture"])
        .env(STATE_DIR, state.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(hearth.stdout.take().unwrap()));
    let pid: u32 = lines
        .find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("pid=")?;
            rest.split_once('.')?.0.parse().ok()
        })
        .expect("the other Hearth boots a guest");
    assert!(alive(pid));
    let options =
        VmmOptions { state_dir: state.path().into(), slots_max: 4, allow_networks: vec![] };
    assert!(open_driver(IsolationChoice::Auto, &options).is_err(), "the directory is in use");
    hearth.kill().unwrap();
    hearth.wait().unwrap();
    until(|| !alive(pid)).await;

    // What does not go by itself, the next start removes.
    let host = Host::on(state, 4);
    let guest = host.boot().await;
    guest.vm.kill().await;
    host.driver.shutdown().await;
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_start_kills_what_a_predecessor_left_and_nothing_else() {
    let (mine, other) = (Host::open(), Host::open());
    let neighbour = other.boot().await;
    // A process where a VMM of a predecessor would be.
    let mut stray = Command::new("sleep").arg("1000").spawn().unwrap();
    let state = mine.crash(stray.id()).await;
    let again = Host::on(state, 4);
    assert!(!stray.wait().unwrap().success());
    assert!(alive(neighbour.vm.pid()));
    again.driver.shutdown().await;
    other.driver.shutdown().await;
    assert_eq!(again.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn any_start_removes_what_a_killed_hearth_left_and_nothing_of_a_living_one() {
    let (killed, living) = (Host::open_with_slots(1), Host::open());
    let neighbour = living.boot().await;
    let livings = living.leftovers();
    let mut stray = Command::new("sleep").arg("1000").spawn().unwrap();
    let state = killed.crash(stray.id()).await;
    let other = Host::open();
    assert!(!stray.wait().unwrap().success());
    assert_eq!(leftovers(state.path()), Vec::<String>::new());
    assert!(alive(neighbour.vm.pid()));
    assert_eq!(living.leftovers(), livings);
    other.driver.shutdown().await;
    living.driver.shutdown().await;
}

#[tokio::test]
async fn a_guest_that_outgrows_its_memory_hurts_only_itself() {
    let host = Host::open();
    let mut guest = host.boot_with(VmSpec { memory_mib: 160, ..spec() }).await;
    let mut neighbour = host.boot().await;
    // More than the guest has: its kernel kills pid 1, which is a panic.
    guest.send("hog 400").await;
    let exit = tokio::time::timeout(PATIENCE, guest.vm.exited()).await.unwrap();
    assert_eq!(exit.status, VmExitStatus::Exited(0), "{exit:?}");
    assert_eq!(neighbour.tell("echo well").await, "well");
    host.driver.shutdown().await;
}
