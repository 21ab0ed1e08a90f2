//! What a zone's workers have left, in compact arrays: looking for room in a full fleet
//! reads nothing else.

use hearth_types::Room;

/// Workers that are passed over together if all of them have too little of something. Of
/// a full fleet of 10,000 that leaves 157 to look at; keeping it up costs a look at one
/// block for each change.
const BLOCK: usize = 64;

/// By a worker's position in its zone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    memory_bytes: Vec<u64>,
    disk_bytes: Vec<u64>,
    /// None where too much was promised; no room either.
    places: Vec<u32>,
    healthy: Vec<bool>,
    /// The most that is left of each in each block: of suspect workers, of healthy ones.
    most: [Vec<Most>; 2],
}

/// Each of another worker, perhaps.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    room: Room,
    places: u32,
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
        self.in_blocks(move |most| most.room.holds(need) && most.places > 0, healthy, from)
            .filter(holds)
    }

    /// The least that any lacks, memory before disk.
    pub(crate) fn least_shortage(&self, need: Room) -> Option<Room> {
        let most = self.most.iter().flatten().map(|most| most.room.memory_bytes).max()?;
        let memory_bytes = most.min(need.memory_bytes);
        let has = move |most: &Most| most.room.memory_bytes >= memory_bytes;
        let both = [false, true].into_iter();
        let enough = both.flat_map(|healthy| self.in_blocks(has, healthy, 0));
        let enough = enough.filter(|at| self.memory_bytes[*at] >= memory_bytes);
        let disk_bytes = enough.map(|at| self.disk_bytes[at]).max()?;
        Some(need.less(Room { memory_bytes, disk_bytes }))
    }

    /// The positions in all blocks whose most is enough.
    fn in_blocks(
        &self,
        is_enough: impl Fn(&Most) -> bool,
        healthy: bool,
        from: u64,
    ) -> impl Iterator<Item = usize> {
        let most = &self.most[usize::from(healthy)];
        let start = (from % most.len().max(1) as u64) as usize;
        let blocks = (start..most.len()).chain(0..start);
        let len = self.memory_bytes.len();
        blocks
            .filter(move |block| is_enough(&most[*block]))
            .flat_map(move |block| block * BLOCK..len.min((block + 1) * BLOCK))
    }

    /// All from there on have other positions.
    fn shifted(&mut self, at: usize) {
        let blocks = self.memory_bytes.len().div_ceil(BLOCK);
        self.most.iter_mut().for_each(|most| most.resize(blocks, Most::default()));
        (at / BLOCK..blocks).for_each(|block| self.look_again(block));
    }

    fn look_again(&mut self, block: usize) {
        let all = block * BLOCK..self.memory_bytes.len().min((block + 1) * BLOCK);
        let mut most = [Most::default(); 2];
        for at in all {
            let most = &mut most[usize::from(self.healthy[at])];
            most.room.memory_bytes = most.room.memory_bytes.max(self.memory_bytes[at]);
            most.room.disk_bytes = most.room.disk_bytes.max(self.disk_bytes[at]);
            most.places = most.places.max(self.places[at]);
        }
        self.most.iter_mut().zip(most).for_each(|(blocks, most)| blocks[block] = most);
    }
}
