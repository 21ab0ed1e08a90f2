//! What a snapshot consists of, in numbers and as a map, for those who look after it.
//! Pure: all of it is known of an open snapshot.

use crate::store::Stored;
use hearth_chunk_store::{Origin, PAGE_BYTES, StoredFile};
use hearth_types::Timestamp;
use serde::{Deserialize, Serialize};

/// A snapshot in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// When it was captured.
    pub created: Timestamp,
    /// What its machine was.
    pub machine: String,
    /// Its guest's memory, in MiB.
    pub memory_mib: u32,
    /// Its guest's virtual CPUs.
    pub vcpus: u32,
    /// The images that its disks have to have, by digest.
    pub images: Vec<String>,
    /// The snapshot that it shares memory with, if any.
    pub parent: Option<String>,
    /// Its memory file.
    pub memory: Parts,
    /// Its registers and devices, in bytes.
    pub state_bytes: u64,
    /// Its scratch disk, if anything is on it.
    pub scratch: Option<Parts>,
    /// What its clones touch, once that is known.
    pub working_set: Option<WorkingSetParts>,
}

/// What a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Its size.
    pub bytes: u64,
    /// Bytes of its pages that were stored with it.
    pub own_bytes: u64,
    /// The chunks that they are in.
    pub own_chunks: u64,
    /// Bytes of its pages that are its parent's.
    pub shared_bytes: u64,
    /// The chunks that they are in.
    pub shared_chunks: u64,
    /// Pages of zeros, which are not stored.
    pub zero_pages: u64,
}

/// The pages that clones touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingSetParts {
    /// Pages, those of zeros included.
    pub pages: u64,
    /// Pages of zeros.
    pub zero_pages: u64,
    /// Bytes of the others, which are packed.
    pub packed_bytes: u64,
    /// Chunks that the pack is.
    pub packed_chunks: u64,
    /// How many clones it was learnt from.
    pub recordings: u32,
}

/// What a part of memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// Zeros.
    Zero,
    /// What the parent has.
    Shared,
    /// What only this snapshot has.
    Own,
}

/// A few pages of memory that lie next to each other: the most that any of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What they hold.
    pub holds: Holds,
    /// When clones touch the first of them: its place in the working set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touched: Option<u32>,
}

/// Memory from its first page to its last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMap {
    /// Pages of the file.
    pub pages: u32,
    /// Pages in a cell, a power of two.
    pub pages_per_cell: u32,
    /// The cells; the last may hold fewer pages.
    pub cells: Vec<Cell>,
    /// Pages of the working set that are in the pack.
    pub touched: u32,
}

impl Summary {
    /// Of an open snapshot.
    pub fn of(stored: &Stored) -> Self {
        let record = &stored.record;
        let about = record.about.clone();
        let working_set = stored.pack.as_ref().map(|pack| {
            let packed = pack.file().chunks().own;
            let zero_pages = record.zeros.len() as u64;
            WorkingSetParts {
                pages: packed.bytes / PAGE_BYTES as u64 + zero_pages,
                zero_pages,
                packed_bytes: packed.bytes,
                packed_chunks: packed.chunks,
                recordings: record.recordings,
            }
        });
        Self {
            created: record.created,
            machine: about.machine,
            memory_mib: about.memory_mib,
            vcpus: about.vcpus,
            images: about.images,
            parent: record.parent.as_ref().map(|(owner, _)| owner.to_string()),
            memory: Parts::of(&stored.memory),
            state_bytes: stored.state.len() as u64,
            scratch: stored.scratch.as_ref().map(Parts::of),
            working_set,
        }
    }
}

impl Parts {
    fn of(file: &StoredFile) -> Self {
        let chunks = file.chunks();
        let full = (chunks.own.bytes + chunks.shared.bytes) / PAGE_BYTES as u64;
        Self {
            bytes: file.size(),
            own_bytes: chunks.own.bytes,
            own_chunks: chunks.own.chunks,
            shared_bytes: chunks.shared.bytes,
            shared_chunks: chunks.shared.chunks,
            zero_pages: file.size().div_ceil(PAGE_BYTES as u64) - full,
        }
    }
}

impl PageMap {
    /// Of an open snapshot's memory, in at most so many cells.
    pub fn of(stored: &Stored, cells_max: u32) -> Self {
        let pages = stored.memory.size().div_ceil(PAGE_BYTES as u64) as u32;
        let pages_per_cell = pages.div_ceil(cells_max.max(1)).next_power_of_two();
        let nothing = Cell { holds: Holds::Zero, touched: None };
        let mut cells = vec![nothing; pages.div_ceil(pages_per_cell) as usize];
        for (run, origin) in stored.memory.origins() {
            let holds = match origin {
                Origin::Own => Holds::Own,
                Origin::Shared => Holds::Shared,
            };
            for page in run {
                let cell = &mut cells[(page / pages_per_cell) as usize];
                cell.holds = cell.holds.max(holds);
            }
        }
        let order = stored.pack.iter().flat_map(|pack| pack.pages());
        let mut touched = 0;
        for page in order {
            let cell = &mut cells[(page.0 / pages_per_cell) as usize];
            cell.touched.get_or_insert(touched);
            touched += 1;
        }
        Self { pages, pages_per_cell, cells, touched }
    }
}
