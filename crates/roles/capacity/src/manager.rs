//! The manager's rounds: ask, look, and carry out what the planner decides.

use crate::coming::Coming;
use crate::config::CapacityConfig;
use crate::demand::Demand;
use crate::hands::{Backoff, Done, Hands, Order};
use crate::ledger::{Ledger, LedgerError};
use crate::metrics;
use crate::nodes::{Nodes, ask_all};
use crate::provider::{ProviderError, WorkerProvider};
use crate::roster::{Managed, Roster, Seen, Stop};
use hearth_ambient::clock::unix_now;
use hearth_planner::capacity::{Action, Sizing, Stage, WorkerState, recovered, replacements};
use hearth_planner::placement::Zone;
use hearth_services::cluster::StandingRecord;
use hearth_services::worker::Standing;
use hearth_types::{WorkerId, ZoneName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the number of workers is looked at, if nobody is refused: what the planner's
/// counts of steps are made for.
const STEP_INTERVAL: Duration = Duration::from_secs(60);
/// How often the use so far is written down.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// How many starts in a row may come to nothing in a zone before one at a time is tried:
/// what is asked for and hangs somewhere is known to nobody here, and stopped by nobody.
const FAILED_MANY: u32 = 3;
/// How often a provider may fail to stop a worker before it is left alone.
const STOP_TRIES_MAX: u32 = 5;
/// How long a worker that is being stopped may take: its events may run for 15 minutes.
const STOPPING_MAX: Duration = Duration::from_secs(1200);

/// The manager, as long as its turn lasts.
pub(crate) struct Manager {
    pub(crate) config: CapacityConfig,
    /// Where workers are started if there is none anywhere.
    pub(crate) own_zone: ZoneName,
    nodes: Arc<dyn Nodes>,
    pub(crate) ledger: Ledger,
    pub(crate) hands: Hands,
    pub(crate) roster: Roster,
    pub(crate) coming: Coming,
    pub(crate) demand: Demand,
    pub(crate) sizing: Sizing,
    starting: BTreeMap<ZoneName, Backoff>,
    stepped: Option<Instant>,
    saved: Option<Instant>,
    rounds: u64,
}

impl Manager {
    /// Goes on where the one before it was.
    pub(crate) async fn open(
        config: CapacityConfig,
        own_zone: ZoneName,
        nodes: Arc<dyn Nodes>,
        provider: Option<Arc<dyn WorkerProvider>>,
        ledger: Ledger,
    ) -> Result<Self, LedgerError> {
        let left = ledger.read().await?;
        Ok(Self {
            config,
            own_zone,
            nodes,
            ledger,
            hands: Hands::new(provider),
            roster: Roster::new(left.standings),
            coming: left.coming,
            demand: Demand::new(left.seasonal),
            sizing: Sizing::default(),
            starting: BTreeMap::new(),
            stepped: None,
            saved: None,
            rounds: 0,
        })
    }

    /// One round. After an error what was begun goes on in the next.
    pub(crate) async fn round(&mut self) -> Result<(), LedgerError> {
        let answers = ask_all(&self.nodes).await;
        let now = Instant::now();
        let seen = self.roster.see(&answers, now);
        self.settle(now).await?;
        self.welcome(&seen).await?;
        for worker in &seen.gone {
            self.ledger.clear_standing(worker).await?;
            self.roster.workers.remove(worker);
        }
        let well = self.roster.workers.values().filter(|w| !w.is_sick() && w.stop == Stop::No);
        let well = well.filter_map(|worker| worker.status.as_ref());
        let refused = self.demand.note(&answers, well, unix_now());
        self.rounds += 1;
        metrics::round(self, refused, seen.is_deaf);
        if seen.is_deaf {
            tracing::warn!(
                "most workers do not answer, though they live by their records: it may \
                be this node that does not hear them, so nothing is decided"
            );
            return Ok(());
        }
        self.roster.look(now);
        self.replace(now).await?;
        let is_due = self.stepped.is_none_or(|at| now.duration_since(at) >= STEP_INTERVAL);
        // Nothing is known of use in the first round, and of refusals neither.
        if self.rounds > 1 && (is_due || refused > 0) {
            self.stepped = Some(now);
            self.resize(now).await?;
        }
        if self.saved.is_none_or(|at| now.duration_since(at) >= SAVE_INTERVAL) {
            self.ledger.put_use(&self.demand.seasonal).await?;
            self.saved = Some(now);
        }
        Ok(())
    }

    /// New workers are there: they may be what was asked for.
    async fn welcome(&mut self, seen: &Seen) -> Result<(), LedgerError> {
        let before = self.coming.clone();
        for (worker, zone, started) in &seen.joined {
            // In the first round all are new; those that lived before it was asked for one
            // are not what came of it.
            let began = (self.rounds == 0).then_some(*started);
            if self.coming.came(*worker, zone, began) {
                self.starting.remove(zone);
            }
        }
        let now = Instant::now();
        for zone in self.coming.expire(unix_now()) {
            let backoff = self.starting.entry(zone.clone()).or_default();
            backoff.failed(now);
            match backoff.failures() >= FAILED_MANY {
                true => tracing::error!(%zone, "workers that were asked for do not come; one at \
                    a time is asked for until one does: see why, and stop what hangs"),
                false => tracing::warn!(%zone, "a worker that was asked for has not come in time"),
            }
        }
        for ended in self.hands.ended() {
            tracing::warn!(node = %ended.node, zone = %ended.zone, "a worker ended by itself");
            if !self.roster.knows_node(&ended.node) {
                self.coming.give_up(&ended.zone, 1);
                self.starting.entry(ended.zone).or_default().failed(now);
            }
        }
        match self.coming == before {
            true => Ok(()),
            false => self.ledger.put_coming(&self.coming).await,
        }
    }

    /// What became of orders.
    async fn settle(&mut self, now: Instant) -> Result<(), LedgerError> {
        for (order, result) in self.hands.collect() {
            metrics::ordered(&order, &result);
            if let Err(error) = &result {
                tracing::warn!(
                    ?order,
                    error = error as &dyn std::error::Error,
                    "the provider of workers failed"
                );
            }
            self.settle_one((order, result), now).await?;
        }
        for worker in self.roster.workers.values_mut() {
            if matches!(worker.stop, Stop::Done(at) if now.duration_since(at) >= STOPPING_MAX) {
                tracing::warn!(node = %worker.machine.node, "a worker was stopped and goes on");
                worker.stop = Stop::No;
            }
        }
        Ok(())
    }

    async fn settle_one(&mut self, (order, result): Done, now: Instant) -> Result<(), LedgerError> {
        match order {
            Order::Up { zone, count } => match result {
                Ok(()) => {}
                Err(error) => {
                    self.starting.entry(zone.clone()).or_default().failed(now);
                    // What may have been done still counts as coming, for its time.
                    if !matches!(error, ProviderError::TimedOut) {
                        self.coming.give_up(&zone, count);
                        self.ledger.put_coming(&self.coming).await?;
                    }
                }
            },
            Order::Down(machine) => {
                let Some(worker) = self.roster.workers.get_mut(&machine.worker) else {
                    return Ok(());
                };
                worker.stop = match result {
                    Ok(()) => Stop::Done(now),
                    Err(_) => {
                        worker.stopping.failed(now);
                        match worker.stopping.failures() >= STOP_TRIES_MAX {
                            true => Stop::GivenUp,
                            false => Stop::No,
                        }
                    }
                };
                if worker.stop == Stop::GivenUp {
                    tracing::error!(node = %machine.node, "a worker cannot be stopped, and is left \
                        drained: stop it by hand");
                }
                if worker.stop != Stop::No {
                    self.start_in_place_of(&machine.worker, now).await?;
                }
            }
        }
        Ok(())
    }

    /// Asks for one more if a worker that is to be replaced has gone.
    async fn start_in_place_of(&mut self, id: &WorkerId, now: Instant) -> Result<(), LedgerError> {
        let Some(worker) = self.roster.workers.get_mut(id) else { return Ok(()) };
        if worker.leaves || worker.is_replaced {
            return Ok(());
        }
        worker.is_replaced = true;
        let zone = worker.machine.zone.clone();
        let serving = self.roster.in_zone(&zone).filter(|w| serves(w)).count();
        let has = serving + self.coming.count_in(&zone);
        match has < self.config.max_workers as usize {
            true => self.start(&zone, 1, now).await,
            false => Ok(()),
        }
    }

    /// Has so many workers started. That they were asked for is durable before they are: a
    /// later manager does not ask for them again.
    pub(crate) async fn start(
        &mut self,
        zone: &ZoneName,
        count: u32,
        now: Instant,
    ) -> Result<(), LedgerError> {
        if !self.hands.can_act() {
            tracing::info!(%zone, count, "workers would be started, had this node a provider");
            return Ok(());
        }
        if self.starting.get(zone).is_some_and(|backoff| !backoff.may_try(now)) {
            tracing::debug!(%zone, "workers failed to start just now; later again");
            return Ok(());
        }
        let failures = self.starting.get(zone).map_or(0, Backoff::failures);
        let count = match (failures >= FAILED_MANY, self.coming.count_in(zone)) {
            (false, _) => count,
            (true, 0) => count.min(1),
            (true, _) => return Ok(()),
        };
        let mut coming = self.coming.clone();
        let count = coming.ask(zone, count, unix_now(), self.config.arrival_max());
        if count > 0 {
            self.ledger.put_coming(&coming).await?;
            self.coming = coming;
            self.hands.order(Order::Up { zone: zone.clone(), count });
        }
        Ok(())
    }

    /// Has a worker stopped, if that may be tried now.
    pub(crate) fn stop(&mut self, id: &WorkerId, now: Instant) {
        let Some(worker) = self.roster.workers.get_mut(id) else { return };
        if worker.stop == Stop::No && worker.stopping.may_try(now) {
            worker.stop = Stop::Ordered;
            self.hands.order(Order::Down(worker.machine.clone()));
        }
    }

    /// Cordons, drains and replaces as the planner says.
    async fn replace(&mut self, now: Instant) -> Result<(), LedgerError> {
        let zones = self.zones();
        let staying = |which: &dyn Fn(&Managed) -> bool| -> Vec<WorkerState> {
            let of = self.roster.workers.values().filter(|w| !w.leaves && which(w));
            of.map(|w| w.state(zone_of(&zones, &w.machine.zone))).collect()
        };
        let back = recovered(&staying(&|w| matches!(w.stop, Stop::No | Stop::GivenUp)));
        let ordered = self.roster.workers.values().filter(|w| w.stop == Stop::Ordered).count();
        let states = staying(&|w| w.stop == Stop::No);
        for id in back {
            self.serve_again(&id).await?;
        }
        let states: Vec<WorkerState> =
            states.into_iter().map(|s| WorkerState { stage: self.stage(&s.worker), ..s }).collect();
        for action in replacements(&states, self.coming.count() + ordered) {
            metrics::acted(&action);
            match action {
                Action::Cordon(id) => self.send_out(&id, Stage::Cordoned, false).await?,
                Action::Drain(id) => self.send_out(&id, Stage::Draining(0), false).await?,
                Action::Replace(id) => self.replace_one(&id, now).await?,
            }
        }
        Ok(())
    }

    async fn replace_one(&mut self, id: &WorkerId, now: Instant) -> Result<(), LedgerError> {
        let Some(worker) = self.roster.workers.get_mut(id) else { return Ok(()) };
        if self.hands.owns(&worker.machine.node) {
            self.stop(id, now);
            return Ok(());
        }
        // One that is gone is forgotten in the next round.
        worker.stop = Stop::GivenUp;
        if worker.is_present {
            tracing::warn!(node = %worker.machine.node, "a sick worker is drained, and would be \
                stopped; no provider here can: stop it by hand, or mend it");
        }
        self.start_in_place_of(id, now).await
    }

    /// A worker goes a step further on its way out. Placement hears of it by the store.
    pub(crate) async fn send_out(
        &mut self,
        id: &WorkerId,
        stage: Stage,
        leaves: bool,
    ) -> Result<(), LedgerError> {
        let standing = match stage {
            Stage::Serving => return self.serve_again(id).await,
            Stage::Cordoned => Standing::Cordoned,
            Stage::Draining(_) => Standing::Draining,
        };
        self.ledger.put_standing(id, StandingRecord { standing, leaves }).await?;
        if let Some(worker) = self.roster.workers.get_mut(id) {
            worker.set_stage(stage, leaves);
            tracing::info!(node = %worker.machine.node, worker = %id, ?standing, leaves, "on its way out");
        }
        Ok(())
    }

    /// A worker that was on its way out stays.
    pub(crate) async fn serve_again(&mut self, id: &WorkerId) -> Result<(), LedgerError> {
        self.ledger.clear_standing(id).await?;
        if let Some(worker) = self.roster.workers.get_mut(id) {
            worker.set_stage(Stage::Serving, false);
            (worker.stop, worker.is_replaced) = (Stop::No, false);
            tracing::info!(node = %worker.machine.node, worker = %id, "serves again");
        }
        Ok(())
    }

    fn stage(&self, id: &WorkerId) -> Stage {
        self.roster.workers.get(id).map_or(Stage::Serving, |worker| worker.stage)
    }

    /// The zones that have workers or are to have some, in order.
    pub(crate) fn zones(&self) -> Vec<ZoneName> {
        let with_workers = self.roster.workers.values().map(|w| w.machine.zone.clone());
        let mut zones: BTreeSet<ZoneName> = self.config.zones.clone();
        zones.extend(with_workers);
        if zones.is_empty() {
            zones.insert(self.own_zone.clone());
        }
        zones.into_iter().collect()
    }
}

/// Whether it counts as one that serves: it is well and does not go for good.
pub(crate) fn serves(worker: &Managed) -> bool {
    !worker.leaves && !worker.is_sick() && worker.stop == Stop::No
}

/// The planner's name of a zone, for one decision.
pub(crate) fn zone_of(zones: &[ZoneName], zone: &ZoneName) -> Zone {
    let index = zones.iter().position(|known| known == zone).unwrap_or(zones.len());
    Zone(u16::try_from(index).unwrap_or(u16::MAX))
}
