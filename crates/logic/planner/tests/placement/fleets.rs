//! Fleets to choose from.

use hearth_planner::placement::{FunctionKey, Layer, Member, Standing, Zone};
use hearth_types::{Room, SandboxId, WorkerId};
use proptest::prelude::*;

/// The worker with that number.
pub(crate) fn worker(number: u64) -> WorkerId {
    format!("{number:032x}").parse().unwrap()
}

/// The sandbox with that number.
pub(crate) fn sandbox(number: u64) -> SandboxId {
    format!("{number:032x}").parse().unwrap()
}

pub(crate) fn room(memory_bytes: u64, disk_bytes: u64) -> Room {
    Room { memory_bytes, disk_bytes }
}

/// An empty, healthy worker.
pub(crate) fn empty(number: u64, zone: u16, memory_bytes: u64) -> Member {
    Member {
        worker: worker(number),
        zone: Zone(zone),
        revision: 0,
        standing: Standing::Healthy,
        total: room(memory_bytes, memory_bytes),
        promised: Room::default(),
        cpu_milli_total: 16_000,
        cpu_milli_used: 0,
        sandboxes: 0,
        sandboxes_max: 10_000,
        expected_bytes: 0,
        functions: Vec::new(),
        layers: Vec::new(),
    }
}

const STANDINGS: [Standing; 5] =
    [Standing::Healthy, Standing::Suspect, Standing::Sick, Standing::Cordoned, Standing::Draining];

prop_compose! {
    fn member(number: u64)(
        zone in 0u16..4,
        standing in prop::sample::select(STANDINGS.to_vec()),
        total in (0u64..100, 0u64..120),
        promised in (0u64..100, 0u64..120),
        places in (0u32..5, 0u32..6),
        expected_bytes in 0u64..60,
        functions in prop::collection::btree_map(0u64..4, 1u32..3, 0..3),
        layers in prop::collection::btree_set(0u64..4, 0..3),
    ) -> Member {
        Member {
            zone: Zone(zone),
            standing,
            total: room(total.0, total.1),
            promised: room(promised.0, promised.1),
            sandboxes: places.0,
            sandboxes_max: places.1,
            expected_bytes,
            functions: functions.into_iter().map(|(f, n)| (FunctionKey(f), n)).collect(),
            layers: layers.into_iter().map(Layer).collect(),
            ..empty(number, 0, 0)
        }
    }
}

/// Any fleet: of few workers, of which all are compared, and of more.
pub(crate) fn any_fleet() -> impl Strategy<Value = Vec<Member>> {
    prop_oneof![0..12usize, 50..120usize]
        .prop_flat_map(|len| (0..len as u64).map(member).collect::<Vec<_>>())
}
