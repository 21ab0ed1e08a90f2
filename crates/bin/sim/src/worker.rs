//! A simulated worker: admits what it has room for, takes its time, and tells of itself.

use crate::functions::Needs;
use crate::guests::Guests;
use crate::random::Random;
use hearth_planner::placement::{FunctionKey, Layer, Member, Standing, Zone};
use hearth_types::{Room, SandboxId, StartKind, WorkerId};
use std::collections::{BTreeMap, VecDeque};

/// Most sandboxes on one.
const SANDBOXES_MAX: u32 = 200;
/// Layers in its cache; the oldest go first.
const LAYERS_MAX: usize = 128;
/// Disk for each byte of memory.
const DISK_FOR_MEMORY: u64 = 8;
/// Processors' thousandths for each GiB.
const CPU_MILLI_PER_GIB: u64 = 1_000;

pub(crate) struct SimWorker {
    pub(crate) id: WorkerId,
    pub(crate) zone: Zone,
    pub(crate) dead: bool,
    total: Room,
    promised: Room,
    pub(crate) guests: Guests,
    /// Of these, running an event.
    busy: u32,
    /// Orders on their way here.
    pub(crate) ordered: usize,
    revision: u64,
    functions: BTreeMap<FunctionKey, u32>,
    layers: VecDeque<Layer>,
    /// What it told last, and what of it is not heard yet; nothing where nothing changed.
    told: Option<(u64, u32)>,
    pub(crate) on_the_way: VecDeque<Option<Member>>,
}

impl SimWorker {
    pub(crate) fn new(number: u32, zone: Zone, memory_mib: u64) -> Self {
        let memory_bytes = memory_mib << 20;
        Self {
            id: format!("{number:032x}").parse().expect("32 digits are an id"),
            zone,
            dead: false,
            total: Room { memory_bytes, disk_bytes: memory_bytes * DISK_FOR_MEMORY },
            promised: Room::default(),
            guests: Guests::default(),
            busy: 0,
            ordered: 0,
            revision: 0,
            functions: BTreeMap::new(),
            layers: VecDeque::new(),
            told: None,
            on_the_way: VecDeque::new(),
        }
    }

    /// Takes a sandbox if there is room, and says at which revision; `None` if not.
    pub(crate) fn admit(&mut self, function: u32, id: SandboxId, needs: &Needs) -> Option<u64> {
        let promised = self.promised.plus(needs.room);
        if self.sandboxes() >= SANDBOXES_MAX || !self.total.holds(promised) {
            return None;
        }
        self.promised = promised;
        self.guests.add(id, function);
        self.revision += 1;
        *self.functions.entry(needs.key).or_default() += 1;
        Some(self.revision)
    }

    /// A sandbox is gone.
    pub(crate) fn give_back(&mut self, needs: &Needs) {
        assert!(self.promised.holds(needs.room), "released what was not there");
        self.promised = self.promised.less(needs.room);
        self.revision += 1;
        if let Some(count) = self.functions.get_mut(&needs.key) {
            *count -= 1;
            if *count == 0 {
                self.functions.remove(&needs.key);
            }
        }
    }

    fn sandboxes(&self) -> u32 {
        self.guests.count() as u32
    }

    pub(crate) fn event_began(&mut self) {
        self.busy += 1;
        assert!(self.busy <= self.sandboxes(), "more events than sandboxes");
    }

    pub(crate) fn event_ended(&mut self) {
        self.busy = self.busy.checked_sub(1).expect("an event ran");
    }

    /// How a sandbox starts here, and how long that takes. What it needed is cached then.
    pub(crate) fn start(&mut self, needs: &Needs, random: &mut Random) -> (StartKind, u64) {
        let [own, runtime] = needs.layers;
        let fetch = |worker: &mut Self, layer: Layer, random: &mut Random| {
            if worker.layers.contains(&layer) {
                return 0;
            }
            if worker.layers.len() >= LAYERS_MAX {
                worker.layers.pop_front();
            }
            worker.layers.push_back(layer);
            random.between(100, 300)
        };
        if needs.has_snapshot {
            let fetched = fetch(self, own, random);
            (StartKind::Restored, fetched + random.between(120, 250))
        } else {
            let fetched = fetch(self, runtime, random);
            (StartKind::Cold, fetched + random.between(600, 1_200))
        }
    }

    /// What it would tell of itself, if that is news.
    pub(crate) fn news(&mut self) -> Option<Member> {
        let now = (self.revision, self.busy);
        (self.told.replace(now) != Some(now)).then(|| self.status())
    }

    /// What it told was lost: it tells it again.
    pub(crate) fn forget_telling(&mut self) {
        self.told = None;
    }

    pub(crate) fn status(&self) -> Member {
        let cpu = u64::from(self.busy) * 200;
        let cpu_milli_total = (self.total.memory_bytes >> 30) * CPU_MILLI_PER_GIB;
        Member {
            worker: self.id,
            zone: self.zone,
            revision: self.revision,
            standing: Standing::Healthy,
            total: self.total,
            promised: self.promised,
            cpu_milli_total,
            cpu_milli_used: cpu.min(cpu_milli_total),
            sandboxes: self.sandboxes(),
            sandboxes_max: SANDBOXES_MAX,
            expected_bytes: 0,
            functions: self.functions.iter().map(|(f, n)| (*f, *n)).collect(),
            layers: self.layers.iter().copied().collect(),
        }
    }

    pub(crate) fn fill_per_mille(&self) -> u64 {
        self.promised.memory_bytes * 1_000 / self.total.memory_bytes.max(1)
    }

    /// What never may be.
    pub(crate) fn check(&self) {
        assert!(self.total.holds(self.promised), "worker {} is over its room", self.id);
        assert!(self.sandboxes() <= SANDBOXES_MAX, "worker {} is over its places", self.id);
    }
}
