//! Finds a section of a 64-bit little-endian ELF file by its name: all that is
//! needed to trim kernels and modules.

use std::ops::Range;

/// Where things are in the file header and in a section header.
const SECTION_HEADERS_AT: usize = 0x28;
const SECTION_HEADER_BYTES_AT: usize = 0x3a;
const SECTIONS_AT: usize = 0x3c;
const NAMES_SECTION_AT: usize = 0x3e;
const CONTENTS_AT: usize = 0x18;
const CONTENTS_BYTES_AT: usize = 0x20;

/// Where a section is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Offset of its header, which begins with its name's offset, u32.
    pub(crate) header: usize,
    /// Its bytes.
    pub(crate) contents: Range<usize>,
}

/// The section called `name`. The outer `None` says that the file is malformed.
pub(crate) fn section(elf: &[u8], name: &str) -> Option<Option<Section>> {
    let headers = u64_at(elf, SECTION_HEADERS_AT)?;
    let header_bytes = u16_at(elf, SECTION_HEADER_BYTES_AT)?;
    let names_header = headers + u16_at(elf, NAMES_SECTION_AT)? * header_bytes;
    let names = u64_at(elf, names_header + CONTENTS_AT)?;
    for n in 0..u16_at(elf, SECTIONS_AT)? {
        let header = headers + n * header_bytes;
        let found = elf.get(names + u32_at(elf, header)?..)?;
        if found.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)) {
            let start = u64_at(elf, header + CONTENTS_AT)?;
            let end = start.checked_add(u64_at(elf, header + CONTENTS_BYTES_AT)?)?;
            return Some(Some(Section { header, contents: start..end }));
        }
    }
    Some(None)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(field(bytes, at)?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(field(bytes, at)?) as usize)
}

/// An offset or a size: one beyond the file is refused here, so that sums of
/// two cannot overflow.
fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    let value = usize::try_from(u64::from_le_bytes(field(bytes, at)?)).ok()?;
    (value <= bytes.len()).then_some(value)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An ELF file of two sections: `.BTF`, which holds `contents`, and the
    /// sections' names.
    pub(crate) fn file(contents: &[u8]) -> Vec<u8> {
        let mut elf = vec![0u8; 0x40];
        elf[..4].copy_from_slice(b"\x7fELF");
        let contents_at = elf.len() as u64;
        elf.extend_from_slice(contents);
        let names_at = elf.len() as u64;
        elf.extend_from_slice(b"\0.BTF\0.shstrtab\0");
        let headers_at = elf.len() as u64;
        for (name, at, bytes) in [(1u32, contents_at, contents.len()), (6, names_at, 17)] {
            let mut header = [0u8; 0x40];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[CONTENTS_AT..][..8].copy_from_slice(&at.to_le_bytes());
            header[CONTENTS_BYTES_AT..][..8].copy_from_slice(&(bytes as u64).to_le_bytes());
            elf.extend_from_slice(&header);
        }
        elf[SECTION_HEADERS_AT..][..8].copy_from_slice(&headers_at.to_le_bytes());
        for (at, value) in
            [(SECTION_HEADER_BYTES_AT, 0x40u16), (SECTIONS_AT, 2), (NAMES_SECTION_AT, 1)]
        {
            elf[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        elf
    }

    #[test]
    fn sections_are_found_by_whole_name() {
        let elf = file(b"types");
        assert_eq!(&elf[section(&elf, ".BTF").unwrap().unwrap().contents], b"types");
        assert_eq!(section(&elf, ".BT"), Some(None));
        for end in 0..elf.len() - 0x40 {
            // Truncated anywhere, it is malformed, not a panic.
            assert_eq!(section(&elf[..end], ".shstrtab"), None, "{end}");
        }
    }
}
