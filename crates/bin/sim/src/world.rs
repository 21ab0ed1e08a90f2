//! All there is, and one thing after the other happening to it.

use crate::capacity::Manager;
use crate::events::{Event, Events};
use crate::figures::Figures;
use crate::functions::Called;
use crate::partitions::Leader;
use crate::random::Random;
use crate::report::Report;
use crate::runs::Run;
use crate::scenario::Scenario;
use crate::starts::Start;
use crate::traffic::{Call, Traffic, WINDOW_MS};
use crate::worker::SimWorker;
use hearth_planner::placement::{Fleet, Zone};
use hearth_types::WorkerId;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// How often a worker tells of itself.
const HEARTBEAT_MS: u64 = 5_000;
/// Of a million heartbeats so many are lost.
const HEARTBEATS_LOST: u64 = 5_000;

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    seed: u64,
    pub(crate) random: Random,
    pub(crate) now_ms: u64,
    pub(crate) events: Events,
    traffic: Traffic,
    /// Calls of this window that are to come.
    calls: VecDeque<Call>,
    called: Called,
    /// Of each partition.
    pub(crate) leaders: Vec<Leader>,
    /// Failovers after which not all has been asked for yet.
    pub(crate) unsettled: u32,
    /// Sandboxes there ever were.
    pub(crate) sandboxes: u64,
    pub(crate) workers: Vec<SimWorker>,
    pub(crate) by_id: HashMap<WorkerId, u32>,
    /// What placement believes of the workers.
    pub(crate) fleet: Fleet,
    pub(crate) manager: Manager,
    /// Sandboxes that are being created, by the order that was given.
    pub(crate) starts: HashMap<u64, Start>,
    pub(crate) orders: u64,
    /// Events that have a sandbox.
    pub(crate) runs: HashMap<u64, Run>,
    /// Calls that wait for room, and how often they tried.
    pub(crate) waiting: HashMap<u64, (Call, u32)>,
    pub(crate) tickets: u64,
    pub(crate) figures: Figures,
    /// Where no worker can be started.
    pub(crate) lost_zone: Option<Zone>,
}

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Self {
        let mut world = Self {
            scenario,
            seed,
            random: Random::new(seed),
            now_ms: 0,
            events: Events::default(),
            traffic: Traffic::new(scenario, seed),
            calls: VecDeque::new(),
            called: Called::new(scenario.functions),
            leaders: Leader::all(),
            unsettled: 0,
            sandboxes: 0,
            workers: Vec::new(),
            by_id: HashMap::new(),
            fleet: Fleet::default(),
            manager: Manager::default(),
            starts: HashMap::new(),
            orders: 0,
            runs: HashMap::new(),
            waiting: HashMap::new(),
            tickets: 0,
            figures: Figures::new(scenario.counted_from_ms()),
            lost_zone: None,
        };
        for number in 0..scenario.workers {
            let zone = Zone((number % u32::from(scenario.zones.max(1))) as u16);
            let worker = world.new_worker(zone);
            world.joined(worker);
        }
        world.events.plan(0, Event::Window(0));
        world.events.plan(0, Event::Look);
        world.events.plan(0, Event::Reconcile);
        world.events.plan(0, Event::Keep);
        world.events.plan(0, Event::Reap);
        world.events.plan(0, Event::Step);
        world.events.plan(scenario.happens_ms(), Event::Happens);
        world.events.plan(scenario.over_ms(), Event::Over);
        world
    }

    pub(crate) fn run(mut self) -> Report {
        while let Some(at_ms) = self.next_at().filter(|at| *at < self.scenario.end_ms()) {
            self.figures.pass(at_ms);
            self.now_ms = at_ms;
            if self.events.next_at() == Some(at_ms) {
                if let Some((_, event)) = self.events.pop() {
                    self.happen(event);
                }
            } else if let Some(call) = self.calls.pop_front() {
                self.figures.one(|f| &mut f.calls);
                self.called.note(call.function);
                self.acquire(call, 0);
            }
        }
        self.check();
        let workers = self.manager.present();
        let ran = self.called.count();
        Report::new(self.scenario, self.seed, &self.figures, workers, ran)
    }

    fn next_at(&self) -> Option<u64> {
        let call = self.calls.front().map(|call| call.at_ms);
        call.into_iter().chain(self.events.next_at()).min()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Window(window) => {
                self.calls = self.traffic.window(window).into();
                self.events.plan((window as u64 + 1) * WINDOW_MS, Event::Window(window + 1));
            }
            Event::Admit(order) => self.admit(order),
            Event::Created(order) => self.created(order),
            Event::CreateFailed(order) => self.create_failed(order),
            Event::Arrives(run) => self.arrives(run),
            Event::Ended(run) => self.ended(run),
            Event::Retry(ticket) => self.retry(ticket),
            Event::Keep => self.keep(),
            Event::Reap => self.reap(),
            Event::Heartbeat(worker) => self.heartbeat(worker),
            Event::Heard(worker) => self.heard(worker),
            Event::Joined(worker) => self.joined(worker),
            Event::Reconcile => self.reconcile(),
            Event::Leads(partition) => self.leads(partition),
            Event::Settles(partition, round) => self.settles(partition, round),
            Event::Wakes(partition) => self.wakes(partition),
            Event::Look => self.look(),
            Event::Step => self.step(),
            Event::Happens => self.what_the_scenario_is_about(),
            Event::Over => self.lost_zone = None,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }

    pub(crate) fn plan_in(&mut self, ms: u64, event: Event) {
        self.events.plan(self.now_ms + ms, event);
    }

    /// A worker that will be up at some time.
    pub(crate) fn new_worker(&mut self, zone: Zone) -> u32 {
        let number = self.workers.len() as u32;
        let worker = SimWorker::new(number, zone, self.scenario.worker_mib);
        self.by_id.insert(worker.id, number);
        self.workers.push(worker);
        self.manager.add();
        number
    }

    pub(crate) fn joined(&mut self, worker: u32) {
        if self.lost_zone == Some(self.workers[worker as usize].zone) {
            self.manager.gone(worker);
            return;
        }
        self.manager.joined(worker, self.now_ms);
        self.tell(worker);
        let phase = self.random.between(0, HEARTBEAT_MS);
        self.plan_in(phase, Event::Heartbeat(worker));
    }

    /// Placement learns at once what a worker is: with an answer of its own.
    pub(crate) fn tell(&mut self, worker: u32) {
        let mut member = self.workers[worker as usize].status();
        member.standing = self.manager.standing(worker);
        self.fleet.upsert(member);
    }

    fn heartbeat(&mut self, worker: u32) {
        if self.workers[worker as usize].dead || self.manager.is_gone(worker) {
            return;
        }
        if self.random.per_million(HEARTBEATS_LOST) {
            self.workers[worker as usize].forget_telling();
        } else {
            let news = self.workers[worker as usize].news();
            self.workers[worker as usize].on_the_way.push_back(news);
            let delay = self.random.between(20, 1_500);
            self.plan_in(delay, Event::Heard(worker));
        }
        self.plan_in(HEARTBEAT_MS, Event::Heartbeat(worker));
    }

    fn heard(&mut self, worker: u32) {
        let news = self.workers[worker as usize].on_the_way.pop_front().flatten();
        if self.manager.is_gone(worker) {
            return;
        }
        self.manager.heard(worker, self.now_ms);
        if let Some(mut member) = news {
            member.standing = self.manager.standing(worker);
            self.fleet.upsert(member);
        }
    }
}
