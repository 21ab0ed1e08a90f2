//! Takes the kernel's ELF out of a `vmlinuz`: QEMU's `microvm` machine and
//! Firecracker both boot the uncompressed image through its PVH entry.
//!
//! ```text
//!  vmlinuz   0x1f1        0x202  0x248           0x24c
//!  ┌────────┬────────────┬──────┬───────────────┬────────────────┬─ … ─┬─────────┐
//!  │ stub   │setup_sects │"HdrS"│payload_offset │ payload_length │     │ payload │
//!  └────────┴────────────┴──────┴───────────────┴────────────────┴─ … ─┴─────────┘
//!    payload starts at (setup_sects + 1) × 512 + payload_offset: a zstd frame,
//!    then the unpacked size, u32 LE
//! ```
//! Source: the kernel's `Documentation/arch/x86/boot.rst`.

use crate::elf;
use std::io::Read;

const SECTOR_BYTES: usize = 512;
const SETUP_SECTS_AT: usize = 0x1f1;
const MAGIC_AT: usize = 0x202;
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const ELF_MAGIC: [u8; 4] = [0x7f, b'E', b'L', b'F'];
/// More than any kernel unpacks to.
const VMLINUX_BYTES_MAX: u64 = 256 << 20;

/// Why a file is not a kernel that can be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum VmlinuxError {
    /// No x86 boot header, or one that points outside the file.
    #[error("not a bzImage")]
    NotBzImage,
    /// Debian's kernels are zstd-compressed; this one is not.
    #[error("the kernel's payload is not zstd-compressed")]
    NotZstd,
    /// The payload does not unpack.
    #[error("the kernel's payload does not unpack")]
    Unpack(#[source] std::io::Error),
    /// It unpacks to something else.
    #[error("the kernel's payload is not an ELF file")]
    NotElf,
}

/// The ELF file inside `vmlinuz`, without the types of section `.BTF`: the
/// kernel would parse megabytes of them at every boot, for tracers that no
/// guest runs. Finding zeros it goes on without.
pub(crate) fn extract(vmlinuz: &[u8]) -> Result<Vec<u8>, VmlinuxError> {
    let mut elf = unpack(vmlinuz)?;
    let types = elf::section(&elf, ".BTF").ok_or(VmlinuxError::NotElf)?;
    if let Some(types) = types {
        elf.get_mut(types.contents).ok_or(VmlinuxError::NotElf)?.fill(0);
    }
    Ok(elf)
}

fn unpack(vmlinuz: &[u8]) -> Result<Vec<u8>, VmlinuxError> {
    if vmlinuz.get(MAGIC_AT..MAGIC_AT + 4) != Some(b"HdrS") {
        return Err(VmlinuxError::NotBzImage);
    }
    let setup_sectors = match vmlinuz[SETUP_SECTS_AT] {
        0 => 4, // as the boot protocol says
        n => usize::from(n),
    };
    let start = (setup_sectors + 1) * SECTOR_BYTES + u32_at(vmlinuz, PAYLOAD_OFFSET_AT)?;
    let length = u32_at(vmlinuz, PAYLOAD_LENGTH_AT)?;
    // The last four bytes hold the unpacked size and are not part of the frame.
    let end = (start + length).checked_sub(4).ok_or(VmlinuxError::NotBzImage)?;
    let payload = vmlinuz.get(start..end).ok_or(VmlinuxError::NotBzImage)?;
    if !payload.starts_with(&ZSTD_MAGIC) {
        return Err(VmlinuxError::NotZstd);
    }
    let mut elf = Vec::new();
    let decoder = zstd::Decoder::with_buffer(payload).map_err(VmlinuxError::Unpack)?;
    decoder
        .single_frame()
        .take(VMLINUX_BYTES_MAX)
        .read_to_end(&mut elf)
        .map_err(VmlinuxError::Unpack)?;
    if !elf.starts_with(&ELF_MAGIC) {
        return Err(VmlinuxError::NotElf);
    }
    Ok(elf)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize, VmlinuxError> {
    let field = bytes.get(at..at + 4).ok_or(VmlinuxError::NotBzImage)?;
    Ok(u32::from_le_bytes([field[0], field[1], field[2], field[3]]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0u8; SECTOR_BYTES * 3];
        image[SETUP_SECTS_AT] = 1;
        image[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET_AT..][..4].copy_from_slice(&512u32.to_le_bytes());
        let length = payload.len() as u32 + 4;
        image[PAYLOAD_LENGTH_AT..][..4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(&[0; 4]);
        image
    }

    #[test]
    fn the_payload_comes_out() {
        let elf = elf::tests::file(b"contents of .BTF");
        let packed = zstd::encode_all(&elf[..], 3).unwrap();
        let extracted = extract(&image(&packed)).unwrap();
        assert_eq!(extracted.len(), elf.len());
        let types = elf::section(&extracted, ".BTF").unwrap().unwrap().contents;
        assert!(extracted[types].iter().all(|b| *b == 0));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(extract(b"short"), Err(VmlinuxError::NotBzImage)));
        assert!(matches!(extract(&image(b"gzip?")), Err(VmlinuxError::NotZstd)));
        let text = zstd::encode_all(&b"text"[..], 3).unwrap();
        assert!(matches!(extract(&image(&text)), Err(VmlinuxError::NotElf)));
        let mut truncated = image(&text);
        truncated.truncate(SECTOR_BYTES * 3 + 2);
        assert!(matches!(extract(&truncated), Err(VmlinuxError::NotBzImage)));
    }
}
