//! Workers that are there and do not do what they should: one that lies, and one whose disk
//! is full.

use crate::faults::Faults;
use crate::liar::{self, Liar};
use crate::many::many;
use anyhow::{Result, ensure};
use hearth_e2e::{SmallDisk, Zones, eventually};
use std::time::Duration;

/// The full one's data: room for its caches.
const DISK_MIB: u32 = 768;
/// Calls at a time, so that new sandboxes are needed.
const CALLS: usize = 6;
/// How often new functions are called until the full one is asked for what it cannot make.
const ROUNDS_MAX: usize = 5;
/// Longest that anything may take that nothing says more about.
const SOON: Duration = Duration::from_secs(60);

pub(crate) async fn whoever_does_not_do_its_work() -> Result<()> {
    let disk = SmallDisk::mount(DISK_MIB)?;
    let zones = {
        let mut zones = Zones::prepare().await?;
        std::os::unix::fs::symlink(disk.path(), zones.cluster.data_dir("work-b"))?;
        zones.cluster.start_nodes().await?;
        zones
    };
    let mut faults = Faults::on(zones).await?;
    a_liar(&mut faults).await?;
    a_full_disk(&mut faults, &disk).await?;
    faults.end().await
}

async fn a_liar(faults: &mut Faults) -> Result<()> {
    let place = faults.zones.guest("a");
    let done = faults.load.so_far();
    let liar = Liar {
        zone: "a".into(),
        address: place.socket(9071),
        bundle: faults.zones.cluster.issue(liar::NAME).await?,
        etcd: faults.zones.cluster.etcd.addresses(),
        claimed: done.sandboxes().iter().map(|id| id.parse()).collect::<Result<_, _>>()?,
    };
    let mut fault = faults.begin("a worker that lies");
    let running = liar.start(&place)?;
    eventually("the liar is in the cluster", SOON, || async {
        let status = faults.zones.cluster.status().await?;
        Ok(status.nodes.iter().any(|node| node.name == liar::NAME).then_some(()))
    })
    .await?;
    faults.served_again(&mut fault, "b").await?;
    let used = many(faults.front("b"), "lied-about", CALLS).await?;
    println!("{CALLS} calls of a new function were served in {} sandboxes", used.len());
    said(faults, "what a worker created could not be used")?;
    drop(running);
    faults.made_good(fault).await
}

/// Some leader met it: else nothing was tested.
fn said(faults: &Faults, what: &str) -> Result<()> {
    let mut nodes = faults.zones.cluster.nodes.values();
    ensure!(nodes.any(|node| node.output().contains(what)), "nobody said: {what}");
    Ok(())
}

async fn a_full_disk(faults: &mut Faults, disk: &SmallDisk) -> Result<()> {
    let mut fault = faults.begin("a worker's disk is full");
    let mut ballast = disk.fill()?;
    faults.served_again(&mut fault, "b").await?;
    for round in 1.. {
        let used = many(faults.front("b"), &format!("elsewhere-{round}"), CALLS).await?;
        println!("{CALLS} calls of a new function were served in {} sandboxes", used.len());
        let met = said(faults, "a worker failed to create a sandbox; trying another");
        if met.is_ok() || round == ROUNDS_MAX {
            met?;
            break;
        }
        // What was ready before is used up, and has left some room.
        ballast = disk.fill()?;
    }
    std::fs::remove_file(ballast)?;
    faults.made_good(fault).await?;

    // With room it works again: the others are gone.
    let mut fault = faults.begin("kill -9 of all workers but the one that had no room");
    for name in ["work-a", "work-c"] {
        faults.zones.cluster.node(name)?.kill().await?;
    }
    faults.served_again(&mut fault, "b").await?;
    faults.zones.cluster.start_nodes().await?;
    faults.made_good(fault).await
}
