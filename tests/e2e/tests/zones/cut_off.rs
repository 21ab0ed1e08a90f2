//! Partitions of the network, among nodes whose clocks are two minutes apart: nothing but
//! signatures may depend on what the time is.

use crate::faults::Faults;
use anyhow::{Context, Result, ensure};
use hearth_e2e::{Account, Function, ZONES, Zones, all, refused};
use serde_json::json;
use std::time::{Duration, Instant};

/// Longest failover of a leader that cannot be reached: twice what is promised, for machines
/// that do other things besides.
const HANGS_MAX: Duration = Duration::from_secs(10);
/// Longest start of a sandbox, in place of those that are away.
const START_MAX: Duration = Duration::from_secs(20);
/// Until partitions are at rest.
const SETTLED_MAX: Duration = Duration::from_secs(60);
/// For longer than a lease.
const LASTS: Duration = Duration::from_secs(4);
/// What sets a process's clock, in Debian.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// How far the clocks of two zones are from the test's.
const SKEWED: [(&str, &str); 2] = [("a", "+60s"), ("c", "-60s")];
/// At least as far apart must what they write be.
const APART_MIN: i64 = 110;

pub(crate) async fn whoever_is_cut_off() -> Result<()> {
    let mut zones = Zones::prepare().await?;
    ensure!(std::path::Path::new(FAKETIME).exists(), "{FAKETIME} is missing: install libfaketime");
    for (zone, by) in SKEWED {
        for node in zones.cluster.nodes.values_mut().filter(|node| node.name.ends_with(zone)) {
            // Of the wall clock alone.
            let skew = [("FAKETIME", by), ("DONT_FAKE_MONOTONIC", "1"), ("NO_FAKE_STAT", "1")];
            let skew = skew.into_iter().chain([("FAKETIME_DISABLE_SHM", "1")]);
            let skew = skew.chain([("LD_PRELOAD", FAKETIME)]);
            node.environment.extend(skew.map(|(name, value)| (name, value.to_owned())));
        }
    }
    zones.cluster.start_nodes().await?;
    let mut faults = Faults::on(zones).await?;
    apart(&faults).await?;
    from_each_other(&mut faults).await?;
    a_zone(&mut faults).await?;
    from_etcd(&mut faults).await?;
    faults.end().await
}

/// What two zones' nodes write at the same time is from different times.
async fn apart(faults: &Faults) -> Result<()> {
    let mut times = Vec::new();
    for zone in ["a", "c"] {
        let client = &faults.front(zone).client;
        let updated = client.update_function_configuration().function_name("called");
        let said = updated.description(zone).send().await?;
        times.push(seconds(said.last_modified().context("it has been modified")?)?);
    }
    ensure!(times[0] - times[1] > APART_MIN, "the clocks are not apart: {times:?}");
    Ok(())
}

/// Of `2026-01-01T12:34:56.789+0000`, since the start of the month.
fn seconds(time: &str) -> Result<i64> {
    let number =
        |from: usize| anyhow::Ok(time.get(from..from + 2).context("short")?.parse::<i64>()?);
    Ok(((number(8)? * 24 + number(11)?) * 60 + number(14)?) * 60 + number(17)?)
}

fn other(zone: &str) -> &'static str {
    ZONES.into_iter().find(|name| *name != zone).expect("three zones")
}

/// What a leader does not need, and what it does.
async fn from_each_other(faults: &mut Faults) -> Result<()> {
    faults.zones.cluster.settled(SETTLED_MAX).await?;
    let zone = faults.leading_zone().await?;
    let leader = [format!("lead-{zone}")];
    let followers: Vec<_> = all("lead").into_iter().filter(|name| *name != leader[0]).collect();
    let before = faults.zones.cluster.leaders().await?;
    let mut fault = faults.begin("a leader cut off from its followers");
    faults.zones.cut(&leader, &followers);
    faults.served_again(&mut fault, other(zone)).await?;
    tokio::time::sleep(LASTS).await;
    ensure!(faults.zones.cluster.leaders().await? == before, "nobody deposes it");
    faults.zones.heal();
    faults.made_good_unnoticed(fault).await?;

    // Nobody deposes it here either: the front end's calls wait for it.
    let mut fault = faults.begin("a leader cut off from one front end");
    faults.zones.cut(&leader, &[format!("front-{}", other(zone))]);
    unserved(faults.front(other(zone))).await?;
    faults.zones.heal();
    faults.served_again(&mut fault, other(zone)).await?;
    faults.made_good(fault).await
}

/// A call at a front end that does not reach a leader is answered, however late.
async fn unserved(front: &Account) -> Result<()> {
    let began = Instant::now();
    let call = |name: &str| {
        let function = Function { account: front.clone(), name: name.to_owned() };
        async move { function.request(&json!({})).send().await }
    };
    // One of them is of a partition of that leader's.
    let (one, other) = tokio::join!(call("called"), call("called-too"));
    refused("ServiceException", 500, if one.is_err() { one } else { other })?;
    println!("a call was answered after {:.1?}", began.elapsed());
    Ok(())
}

async fn a_zone(faults: &mut Faults) -> Result<()> {
    let away = faults.leading_zone().await?;
    let mut fault = faults.begin("a zone that leads, cut off from everything");
    faults.zones.cut_zone(away);
    let again = faults.served_again(&mut fault, other(away)).await?;
    ensure!(again < HANGS_MAX + START_MAX, "served again only after {again:?}");
    // Until its sandboxes count as gone, so that they are nobody's when it is back.
    faults.zones.forgotten(away).await?;
    faults.zones.heal();
    faults.made_good(fault).await
}

/// Who does not reach etcd leaves the cluster, and is back when it does.
async fn from_etcd(faults: &mut Faults) -> Result<()> {
    let zone = faults.leading_zone().await?;
    let leader = format!("lead-{zone}");
    let mut fault = faults.begin("a leader cut off from etcd");
    faults.zones.cut(std::slice::from_ref(&leader), &all("etcd"));
    faults.leads_nothing(&leader).await?;
    let again = faults.served_again(&mut fault, zone).await?;
    ensure!(again < HANGS_MAX, "served again only after {again:?}");
    faults.zones.heal();
    faults.made_good_unnoticed(fault).await?;

    for name in ["work-c", "front-c"] {
        let mut fault = faults.begin(&format!("{name} cut off from etcd"));
        faults.zones.cut(&[name.to_owned()], &all("etcd"));
        faults.leaves(name).await?;
        faults.served_again(&mut fault, "b").await?;
        faults.zones.heal();
        faults.made_good(fault).await?;
    }
    Ok(())
}
