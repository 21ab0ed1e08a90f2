//! `kill -9` of each role, of each two of them, and of what a cluster stands on.

use crate::faults::Faults;
use anyhow::{Result, ensure};
use hearth_e2e::{Zones, eventually};
use std::time::Duration;

/// Each in another zone than the one before, and never the front end of zone b.
const KILLED: [&[&str]; 6] = [
    &["front-a"],
    &["lead-b"],
    &["work-c"],
    &["front-a", "lead-a"],
    &["lead-b", "work-b"],
    &["front-c", "work-c"],
];
/// How long it may take until nobody is a member of a cluster whose etcd is gone.
const LEASE_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn whoever_is_killed() -> Result<()> {
    let mut faults = Faults::on(Zones::start().await?).await?;
    for names in KILLED {
        let mut fault = faults.begin(&format!("kill -9 of {}", names.join(" and ")));
        for name in names {
            faults.zones.cluster.node(name)?.kill().await?;
        }
        faults.served_again(&mut fault, "b").await?;
        faults.zones.cluster.start_nodes().await?;
        match names.iter().all(|name| name.starts_with("lead-")) {
            true => faults.made_good_unnoticed(fault).await?,
            false => faults.made_good(fault).await?,
        }
    }
    etcd(&mut faults).await?;
    objects(&mut faults).await?;
    faults.end().await
}

async fn etcd(faults: &mut Faults) -> Result<()> {
    let etcd = &faults.zones.cluster.etcd;
    let leads = etcd.leader().await;
    let mut fault = faults.begin("kill -9 of etcd's leader");
    faults.zones.cluster.etcd.nodes[leads].kill();
    faults.served_again(&mut fault, "b").await?;
    faults.zones.cluster.etcd.run(leads);
    faults.made_good_unnoticed(fault).await?;

    let leads = faults.zones.cluster.etcd.leader().await;
    let majority = [leads, (leads + 1) % 3];
    let mut fault = faults.begin("kill -9 of etcd's majority");
    majority.iter().for_each(|member| faults.zones.cluster.etcd.nodes[*member].kill());
    // Until leases are over: only then is anything lost.
    let front = faults.front("b").clone();
    eventually("nobody is served", LEASE_MAX, || async {
        let served = faults.load.serves(&front, Duration::ZERO);
        let served = tokio::time::timeout(Duration::from_secs(2), served).await;
        Ok((!matches!(served, Ok(Ok(())))).then_some(()))
    })
    .await?;
    majority.iter().for_each(|member| faults.zones.cluster.etcd.run(*member));
    faults.served_again(&mut fault, "b").await?;
    faults.made_good(fault).await
}

async fn objects(faults: &mut Faults) -> Result<()> {
    let mut fault = faults.begin("kill -9 of the object store");
    faults.zones.cluster.s3.kill();
    let again = faults.served_again(&mut fault, "b").await?;
    ensure!(again < Duration::from_secs(5), "what is warm serves on, not after {again:?}");
    faults.zones.cluster.s3.restart().await;
    faults.made_good(fault).await
}
