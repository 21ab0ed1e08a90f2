//! The functions: what each needs, by its number, and which were called.

use crate::random::mixed;
use hearth_planner::placement::{FunctionKey, Layer};
use hearth_sandboxes::Wanted;
use hearth_types::{MemoryMb, Room, Version, VersionKey};

/// Memory that each sandbox takes beyond its function's own.
const OVERHEAD_MIB: u64 = 64;
const MIB: u64 = 1 << 20;
/// `/tmp` of each.
const DISK_BYTES: u64 = 512 * MIB;
/// Of a hundred functions, so many have a snapshot.
const SNAPSHOTS_PERCENT: u64 = 70;
/// Runtimes, as many as Hearth has.
const RUNTIMES: u64 = 4;

/// Accounts that functions are shared among: the busiest functions are of different ones.
const ACCOUNTS: u32 = 10_000;

/// What each sandbox takes beyond its function's own.
pub(crate) const OVERHEAD: Room = Room { memory_bytes: OVERHEAD_MIB * MIB, disk_bytes: 0 };

/// Whose the sandboxes of the function with that number are.
pub(crate) fn key(function: u32) -> VersionKey {
    VersionKey {
        account: format!("{:012}", function % ACCOUNTS).parse().expect("12 digits"),
        function: format!("f{function}").parse().expect("it is a name"),
        version: Version::Latest,
        revision: format!("{function:032x}").parse().expect("32 digits are an id"),
    }
}

/// The number of the function whose sandboxes those are.
pub(crate) fn number(key: &VersionKey) -> u32 {
    key.function.as_str()[1..].parse().expect("it is a number")
}

/// What its events want.
pub(crate) fn wanted(key: &VersionKey) -> Wanted<'_> {
    let room = needs(number(key)).room.less(OVERHEAD);
    let memory_mib = (room.memory_bytes / MIB) as i64;
    let memory = MemoryMb::try_from(memory_mib).expect("it is within bounds");
    Wanted { key, memory, room }
}

/// What a function needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    pub(crate) key: FunctionKey,
    pub(crate) room: Room,
    pub(crate) cpu_milli: u64,
    /// Its snapshot, if it has one, and its runtime's.
    pub(crate) layers: [Layer; 2],
    pub(crate) has_snapshot: bool,
}

impl Needs {
    pub(crate) fn mib(&self) -> u64 {
        self.room.memory_bytes / MIB
    }
}

/// The needs of the function with that number.
pub(crate) fn needs(function: u32) -> Needs {
    let chance = mixed(u64::from(function) ^ 0x5eed);
    let memory_mib = [128, 128, 256, 256, 256, 512, 512, 1024][(chance % 8) as usize];
    Needs {
        key: FunctionKey(function.into()),
        room: Room { memory_bytes: (memory_mib + OVERHEAD_MIB) * MIB, disk_bytes: DISK_BYTES },
        cpu_milli: memory_mib * 1_000 / 1_769,
        layers: [Layer(u64::from(function) + RUNTIMES), Layer((chance >> 8) % RUNTIMES)],
        has_snapshot: (chance >> 16) % 100 < SNAPSHOTS_PERCENT,
    }
}

/// Which ones were called at all.
pub(crate) struct Called(Vec<bool>);

impl Called {
    pub(crate) fn new(functions: u32) -> Self {
        Self(vec![false; functions as usize])
    }

    pub(crate) fn note(&mut self, function: u32) {
        self.0[function as usize] = true;
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().filter(|called| **called).count()
    }
}
