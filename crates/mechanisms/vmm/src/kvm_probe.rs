//! Does KVM truly work here?
//!
//! A `/dev/kvm` that opens proves nothing: on some nested hosts it answers every
//! query, yet interprets the guest a microsecond per instruction, and a stock
//! kernel never comes up. So a million turns of a two-instruction loop are run
//! in a 64-bit guest, and timed.
#![allow(clippy::disallowed_methods, reason = "it measures the hardware")]
#![allow(unsafe_code)]

use kvm_bindings::{kvm_regs, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Turns of the loop.
const TURNS: u64 = 1_000_000;
/// Native speed takes about 1 ms; a busy host may take several times that.
const USABLE_MAX: Duration = Duration::from_millis(20);
/// When to stop watching.
const WATCH_MAX: Duration = Duration::from_millis(500);

/// What was found.
#[derive(Clone, Debug)]
pub struct KvmProbe {
    /// Whether guests run at native speed.
    pub usable: bool,
    /// What was seen, in words.
    pub words: String,
}

/// Probes once in the process's life; later calls answer the same.
pub fn probe() -> KvmProbe {
    static RESULT: OnceLock<KvmProbe> = OnceLock::new();
    RESULT
        .get_or_init(|| {
            if !std::path::Path::new("/dev/kvm").exists() {
                return KvmProbe { usable: false, words: "there is no /dev/kvm".into() };
            }
            judge(in_a_child())
        })
        .clone()
}

/// What a run of the loop came to.
enum Run {
    /// It finished.
    Took(Duration),
    /// It was still going when the watch ended.
    TooSlow,
    /// It could not be run.
    Failed(io::Error),
}

fn judge(run: Run) -> KvmProbe {
    let million = "a million loop turns in a guest";
    match run {
        Run::Took(took) if took <= USABLE_MAX => {
            KvmProbe { usable: true, words: format!("{million} took {took:.1?}") }
        }
        Run::Took(took) => KvmProbe {
            usable: false,
            words: format!("/dev/kvm is there but not at native speed: {million} took {took:.1?}"),
        },
        Run::TooSlow => KvmProbe {
            usable: false,
            words: format!(
                "/dev/kvm is there but not at native speed: {million} took over {WATCH_MAX:?}"
            ),
        },
        Run::Failed(error) => {
            KvmProbe { usable: false, words: format!("/dev/kvm does not work: {error}") }
        }
    }
}

/// Runs the loop in a child process, which can be killed if it never ends.
fn in_a_child() -> Run {
    let (mut result, theirs) = match io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return Run::Failed(error),
    };
    // SAFETY: glibc's fork leaves malloc usable in the child of a process with
    // threads, and the child uses nothing else that another thread could hold a
    // lock of: system calls on its own memory, then _exit.
    let child = unsafe { libc::fork() };
    match child {
        -1 => return Run::Failed(io::Error::last_os_error()),
        0 => {
            let message = match run_loop() {
                Ok(took) => (took.as_nanos() as i64).to_le_bytes(),
                Err(error) => (-i64::from(error.errno())).to_le_bytes(),
            };
            let _ = (&theirs).write_all(&message);
            // SAFETY: ends the process without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        _ => drop(theirs),
    }
    let ended = readable_within(&result, WATCH_MAX);
    let mut message = [0; 8];
    let run = match ended {
        Err(error) => Run::Failed(error),
        Ok(false) => Run::TooSlow,
        Ok(true) => match result.read_exact(&mut message).map(|()| i64::from_le_bytes(message)) {
            Err(error) => Run::Failed(error),
            Ok(errno @ ..=-1) => Run::Failed(io::Error::from_raw_os_error(-errno as i32)),
            Ok(nanos) => Run::Took(Duration::from_nanos(nanos as u64)),
        },
    };
    // SAFETY: our child, not yet waited for, so the number is still its.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // A vCPU that ignores even SIGKILL must not stop the start.
    std::thread::spawn(move || {
        // SAFETY: waits for our child, ignoring its status.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }
    });
    run
}

fn readable_within(pipe: &io::PipeReader, limit: Duration) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    let mut poll = libc::pollfd { fd: pipe.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    match unsafe { libc::poll(&mut poll, 1, limit.as_millis() as i32) } {
        -1 => Err(io::Error::last_os_error()),
        ready => Ok(ready > 0),
    }
}

/// Guest memory: page tables, then code.
const MEMORY_BYTES: usize = 0x8000;
const PML4: usize = 0x1000;
const PDPT: usize = 0x2000;
const PD: usize = 0x3000;
const CODE: usize = 0x4000;
/// `dec rcx; jnz -5; hlt`
const LOOP: [u8; 6] = [0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf4];

fn run_loop() -> Result<Duration, kvm_ioctls::Error> {
    let vm = Kvm::new()?.create_vm()?;
    // SAFETY: a fresh anonymous mapping, checked below.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            MEMORY_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return Err(kvm_ioctls::Error::last());
    }
    // SAFETY: all within the mapping, which nothing else refers to yet.
    unsafe {
        let at = |offset: usize| memory.cast::<u8>().add(offset);
        // Present and writable; the last level maps the first 2 MiB onto themselves.
        at(PML4).cast::<u64>().write(PDPT as u64 | 0b11);
        at(PDPT).cast::<u64>().write(PD as u64 | 0b11);
        at(PD).cast::<u64>().write(0b1000_0011);
        std::ptr::copy_nonoverlapping(LOOP.as_ptr(), at(CODE), LOOP.len());
    }
    let region = kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: 0,
        memory_size: MEMORY_BYTES as u64,
        userspace_addr: memory as u64,
        flags: 0,
    };
    // SAFETY: the mapping stays until the process ends.
    unsafe { vm.set_user_memory_region(region)? };
    let mut vcpu = vm.create_vcpu(0)?;
    let mut system = vcpu.get_sregs()?;
    let segment = kvm_segment { limit: !0, present: 1, s: 1, g: 1, ..kvm_segment::default() };
    system.cs = kvm_segment { type_: 0b1011, l: 1, selector: 8, ..segment };
    system.ss = kvm_segment { type_: 0b0011, db: 1, selector: 16, ..segment };
    (system.ds, system.es, system.fs, system.gs) = (system.ss, system.ss, system.ss, system.ss);
    system.cr3 = PML4 as u64;
    system.cr4 = 1 << 5; // PAE
    system.cr0 = 1 << 31 | 1; // paging, protected mode
    system.efer = 1 << 10 | 1 << 8; // long mode, active and enabled
    vcpu.set_sregs(&system)?;
    let registers = kvm_regs { rip: CODE as u64, rcx: TURNS, rflags: 0b10, ..kvm_regs::default() };
    vcpu.set_regs(&registers)?;
    let started = Instant::now();
    match vcpu.run()? {
        VcpuExit::Hlt => Ok(started.elapsed()),
        _ => Err(kvm_ioctls::Error::new(libc::EPROTO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_native_speed_is_usable() {
        assert!(judge(Run::Took(Duration::from_millis(1))).usable);
        assert!(!judge(Run::Took(Duration::from_millis(1500))).usable);
        assert!(!judge(Run::TooSlow).usable);
        let denied = judge(Run::Failed(io::Error::from_raw_os_error(libc::EACCES)));
        assert!(!denied.usable);
        assert!(denied.words.contains("ermission"), "{}", denied.words);
    }

    #[test]
    fn ends_in_time_and_answers_the_same_again() {
        let started = Instant::now();
        let first = probe();
        assert!(started.elapsed() < WATCH_MAX * 4, "took {:?}", started.elapsed());
        assert_eq!(probe().words, first.words);
        println!("{first:?}");
    }
}
