//! What a zone's workers have left, in compact arrays: looking for room in a full fleet
//! reads nothing else.

use hearth_types::Room;

/// Workers that are passed over together if none of them has the memory. Of a full fleet
/// of 10,000 that leaves 157 to look at; keeping it up costs one block for each change.
const BLOCK: usize = 64;

/// By a worker's position in its zone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    memory_bytes: Vec<u64>,
    disk_bytes: Vec<u64>,
    /// None where too much was promised; no room either.
    places: Vec<u32>,
    healthy: Vec<bool>,
    /// The most memory that is left in each block: of suspect workers, of healthy ones.
    most: [Vec<u64>; 2],
}

/// One worker's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LeftOfOne {
    pub(crate) room: Room,
    pub(crate) places: u32,
    pub(crate) healthy: bool,
}

impl Left {
    pub(crate) fn insert(&mut self, at: usize) {
        self.memory_bytes.insert(at, 0);
        self.disk_bytes.insert(at, 0);
        self.places.insert(at, 0);
        self.healthy.insert(at, false);
        self.shifted(at);
    }

    pub(crate) fn remove(&mut self, at: usize) {
        self.memory_bytes.remove(at);
        self.disk_bytes.remove(at);
        self.places.remove(at);
        self.healthy.remove(at);
        self.shifted(at);
    }

    pub(crate) fn set(&mut self, at: usize, one: LeftOfOne) {
        self.memory_bytes[at] = one.room.memory_bytes;
        self.disk_bytes[at] = one.room.disk_bytes;
        self.places[at] = one.places;
        self.healthy[at] = one.healthy;
        self.look_again(at / BLOCK);
    }

    /// The positions of healthy or of suspect workers that hold so much, beginning in one
    /// block and going around.
    pub(crate) fn holding(
        &self,
        need: Room,
        healthy: bool,
        from: u64,
    ) -> impl Iterator<Item = usize> + '_ {
        let holds = move |at: &usize| {
            self.memory_bytes[*at] >= need.memory_bytes
                && self.disk_bytes[*at] >= need.disk_bytes
                && self.places[*at] > 0
                && self.healthy[*at] == healthy
        };
        self.with_memory(need.memory_bytes, healthy, from).filter(holds)
    }

    /// The least that any lacks, memory before disk.
    pub(crate) fn least_shortage(&self, need: Room) -> Option<Room> {
        let memory_bytes = (*self.most.iter().flatten().max()?).min(need.memory_bytes);
        let both = [false, true].into_iter();
        let enough = both.flat_map(|healthy| self.with_memory(memory_bytes, healthy, 0));
        let enough = enough.filter(|at| self.memory_bytes[*at] >= memory_bytes);
        let disk_bytes = enough.map(|at| self.disk_bytes[at]).max()?;
        Some(need.less(Room { memory_bytes, disk_bytes }))
    }

    /// The positions in all blocks of which some have so much memory.
    fn with_memory(
        &self,
        least: u64,
        healthy: bool,
        from: u64,
    ) -> impl Iterator<Item = usize> + '_ {
        let most = &self.most[usize::from(healthy)];
        let start = (from % most.len().max(1) as u64) as usize;
        let blocks = (start..most.len()).chain(0..start);
        let len = self.memory_bytes.len();
        blocks
            .filter(move |block| most[*block] >= least)
            .flat_map(move |block| block * BLOCK..len.min((block + 1) * BLOCK))
    }

    /// All from there on have other positions.
    fn shifted(&mut self, at: usize) {
        let blocks = self.memory_bytes.len().div_ceil(BLOCK);
        self.most.iter_mut().for_each(|most| most.resize(blocks, 0));
        (at / BLOCK..blocks).for_each(|block| self.look_again(block));
    }

    fn look_again(&mut self, block: usize) {
        let all = block * BLOCK..self.memory_bytes.len().min((block + 1) * BLOCK);
        let mut most = [0; 2];
        for (memory, healthy) in self.memory_bytes[all.clone()].iter().zip(&self.healthy[all]) {
            let most = &mut most[usize::from(*healthy)];
            *most = (*most).max(*memory);
        }
        self.most.iter_mut().zip(most).for_each(|(blocks, most)| blocks[block] = most);
    }
}
