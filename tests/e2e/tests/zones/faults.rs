//! One fault after the other under a load of clients, and what must hold after each.

use crate::many::many;
use anyhow::{Context, Result, ensure};
use hearth_e2e::{Account, Done, Load, ZONES, Zones, eventually};
use std::time::{Duration, Instant};

/// Longest time until all is well again.
const WHOLE_MAX: Duration = Duration::from_secs(60);

/// Until each worker has what its guests are cloned from.
const LAYERS_MAX: Duration = Duration::from_secs(120);

/// A cluster to which things happen.
pub(crate) struct Faults {
    pub(crate) zones: Zones,
    pub(crate) load: Load,
    fronts: Vec<Account>,
    rows: Vec<Row>,
}

/// What one fault came to.
struct Row {
    fault: String,
    again: Duration,
    whole: Duration,
    served: u64,
    failed: usize,
}

/// A fault that has just happened.
pub(crate) struct Fault {
    name: String,
    began: Instant,
    before: Done,
    again: Duration,
}

impl Faults {
    /// On a cluster that runs.
    pub(crate) async fn on(mut zones: Zones) -> Result<Self> {
        let fronts = zones.fronts().await?;
        // What starts later is a clone: quick, also where guests are emulated.
        many(&fronts[0], "first", ZONES.len()).await?;
        eventually("every worker has its layers", LAYERS_MAX, || async {
            let workers = zones.cluster.nodes.values().filter(|node| node.name.starts_with("work"));
            let mut said = workers.map(|worker| worker.output());
            Ok(said.all(|said| said.contains("made a layer layer=layers/python")).then_some(()))
        })
        .await?;
        let load = Load::start(fronts.clone()).await?;
        let this = Self { zones, load, fronts, rows: Vec::new() };
        this.whole().await.context("before any fault")?;
        Ok(this)
    }

    /// The test's account, as a client of a zone's front end.
    pub(crate) fn front(&self, zone: &str) -> &Account {
        &self.fronts[ZONES.iter().position(|name| *name == zone).expect("a zone")]
    }

    /// The zone whose node leads the partition that has the most sandboxes: of a function that
    /// clients call.
    pub(crate) async fn leading_zone(&self) -> Result<&'static str> {
        eventually("somebody leads a partition with sandboxes", WHOLE_MAX, || async {
            let status = self.zones.cluster.status().await?;
            let some = status.partitions.iter().filter_map(|partition| {
                Some((partition.sandboxes?.iter().sum::<usize>(), &partition.leader.node))
            });
            let Some((1.., leader)) = some.max() else { return Ok(None) };
            Ok(ZONES.into_iter().find(|zone| *leader == format!("lead-{zone}")))
        })
        .await
    }

    /// Waits until a node leads nothing.
    pub(crate) async fn leads_nothing(&self, node: &str) -> Result<()> {
        eventually(&format!("{node} leads nothing"), WHOLE_MAX, || async {
            let status = self.zones.cluster.status().await?;
            let leads = status.partitions.iter().any(|p| p.leader.node == node);
            Ok((!leads).then_some(()))
        })
        .await
    }

    /// Waits until a node is in the cluster no more.
    pub(crate) async fn leaves(&self, node: &str) -> Result<()> {
        eventually(&format!("{node} is gone"), WHOLE_MAX, || async {
            let status = self.zones.cluster.status().await?;
            Ok(status.nodes.iter().all(|there| there.name != node).then_some(()))
        })
        .await
    }

    /// Says what is about to happen.
    pub(crate) fn begin(&self, name: &str) -> Fault {
        println!("{name} …");
        let (before, began) = (self.load.so_far(), Instant::now());
        Fault { name: name.to_owned(), began, before, again: Duration::ZERO }
    }

    /// Waits until this zone's front end serves every function; says how long after the fault.
    pub(crate) async fn served_again(&self, fault: &mut Fault, zone: &str) -> Result<Duration> {
        let served = self.load.serves(self.front(zone), WHOLE_MAX).await;
        served.with_context(|| fault.name.clone())?;
        fault.again = fault.began.elapsed();
        Ok(fault.again)
    }

    /// All that was broken has been made good: waits until the cluster is whole.
    pub(crate) async fn made_good(&mut self, fault: Fault) -> Result<()> {
        let began = Instant::now();
        self.whole().await.with_context(|| format!("after {}", fault.name))?;
        let now = self.load.so_far();
        let row = Row {
            again: fault.again,
            whole: began.elapsed(),
            served: now.served - fault.before.served,
            failed: now.failed.len() - fault.before.failed.len(),
            fault: fault.name,
        };
        println!("… served again after {:.1?}, whole after {:.1?}", row.again, row.whole);
        ensure!(row.served > 0, "{}: nobody was served", row.fault);
        self.rows.push(row);
        Ok(())
    }

    /// The same, of a fault that no client with retries may have noticed.
    pub(crate) async fn made_good_unnoticed(&mut self, fault: Fault) -> Result<()> {
        let before = fault.before.failed.len();
        self.made_good(fault).await?;
        let failed = &self.load.so_far().failed[before..];
        ensure!(failed.is_empty(), "calls failed: {failed:?}");
        Ok(())
    }

    /// Every front end serves and shows what was acknowledged, and what leaders know of is
    /// what workers have.
    async fn whole(&self) -> Result<()> {
        for front in &self.fronts {
            self.load.serves(front, WHOLE_MAX).await?;
            self.load.shows(front, WHOLE_MAX).await?;
        }
        self.zones.cluster.agrees(WHOLE_MAX).await
    }

    /// Ends it all, which must be a good end, and says what there was.
    pub(crate) async fn end(self) -> Result<()> {
        let done = self.load.stop().await;
        println!(
            "\n| fault | served again after | whole, once made good, after | served | failed |"
        );
        println!("|---|--:|--:|--:|--:|");
        for Row { fault, again, whole, served, failed } in &self.rows {
            let [again, whole] = [again, whole].map(|time| format!("{:.1} s", time.as_secs_f64()));
            println!("| {fault} | {again} | {whole} | {served} | {failed} |");
        }
        done.failed.iter().take(8).for_each(|why| println!("failed: {why}"));
        let (sandboxes, changes) = (done.sandboxes().len(), done.acknowledged);
        println!("{} calls in {sandboxes} sandboxes, {changes} changes\n", done.served);
        done.alone()?;
        self.zones.cluster.agrees(WHOLE_MAX).await.context("at the end")?;
        self.zones.stop().await
    }
}
