//! How many workers each zone has: the planner's steps, carried out.

use crate::ledger::LedgerError;
use crate::manager::{Manager, serves, zone_of};
use crate::metrics;
use crate::roster::{Managed, Stop};
use hearth_planner::capacity::{
    Candidate, Health, Limits, Stage, ZoneChange, ZoneSize, departures, wanted_workers,
};
use hearth_types::ZoneName;
use tokio::time::Instant;

impl Manager {
    pub(crate) async fn resize(&mut self, now: Instant) -> Result<(), LedgerError> {
        let zones = self.zones();
        let load = self.demand.load(self.config.headroom_percent);
        let sizes: Vec<ZoneSize> = zones.iter().map(|zone| self.size_of(zone, &zones)).collect();
        let (next, changes) = self.sizing.step(&load, &sizes);
        self.sizing = next;
        metrics::wanted(wanted_workers(&load));
        tracing::debug!(?load, ?sizes, ?changes, "size");
        for (zone, change) in zones.iter().zip(&changes) {
            self.resize_zone(zone, change, now).await?;
        }
        Ok(())
    }

    /// What of a zone may be taken away: what the provider can stop, and does not yet.
    fn candidates(&self, zone: &ZoneName, zones: &[ZoneName]) -> Vec<Candidate> {
        let here = self.roster.in_zone(zone).filter(|w| self.may_go(w));
        let candidate = |w: &Managed| {
            let state = w.state(zone_of(zones, zone));
            Candidate { state, leaves: w.leaves }
        };
        here.map(candidate).collect()
    }

    fn may_go(&self, worker: &Managed) -> bool {
        worker.stop == Stop::No
            && self.hands.owns(&worker.machine.node)
            && (worker.leaves || !worker.is_sick() && worker.stage == Stage::Serving)
    }

    fn size_of(&self, zone: &ZoneName, zones: &[ZoneName]) -> ZoneSize {
        let count = |which: &dyn Fn(&Managed) -> bool| {
            self.roster.in_zone(zone).filter(|worker| which(worker)).count() as u32
        };
        // Another comes for each of these, if there is somebody to start it.
        let replaced =
            |w: &Managed| w.is_sick() && !w.leaves && w.stage != Stage::Serving && !w.is_replaced;
        let replaced = if self.hands.can_act() { count(&replaced) } else { 0 };
        let candidates = self.candidates(zone, zones);
        let of = |which: &dyn Fn(&Candidate) -> bool| {
            candidates.iter().filter(|c| which(c)).count() as u32
        };
        ZoneSize {
            zone: zone_of(zones, zone),
            serving: count(&serves),
            starting: self.coming.count_in(zone) as u32 + replaced,
            empty: of(&|c| !c.leaves && c.state.sandboxes == 0),
            draining: of(&|c| c.leaves),
            drained: of(&|c| c.leaves && c.state.sandboxes == 0),
            limits: Limits { min: self.config.min_workers, max: self.config.max_workers },
        }
    }

    async fn resize_zone(
        &mut self,
        zone: &ZoneName,
        change: &ZoneChange,
        now: Instant,
    ) -> Result<(), LedgerError> {
        let fixed = self.roster.in_zone(zone).filter(|w| !self.may_go(w));
        let fixed = fixed.filter(|w| serves(w) && w.stage == Stage::Serving);
        let fixed = fixed.filter(|w| w.health() == Health::Healthy).count();
        let candidates = self.candidates(zone, &self.zones());
        let who = departures(change, &candidates, fixed);
        for id in &who.keep {
            self.serve_again(id).await?;
        }
        if change.gain > 0 {
            self.start(zone, change.gain, now).await?;
        }
        for id in &who.drain {
            self.send_out(id, Stage::Draining(0), true).await?;
        }
        for id in &who.lose {
            match candidates.iter().any(|c| c.state.worker == *id && c.leaves) {
                true => self.stop(id, now),
                // It is empty, but may be given a sandbox at this moment: not before it is
                // known that none came is it stopped.
                false => self.send_out(id, Stage::Draining(0), true).await?,
            }
        }
        Ok(())
    }
}
