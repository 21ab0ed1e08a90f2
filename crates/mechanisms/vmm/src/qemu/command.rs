//! QEMU's command line.

use crate::{Isolation, Memory, VmSpec};
use std::path::PathBuf;

/// The guest's side of the tap; the same in every guest, as clones must be.
const GUEST_MAC: &str = "02:00:00:00:00:02";
/// Name of the port that the agent finds its stream by.
const AGENT_PORT: &str = "agent";
/// Size of the translation cache, in MiB: half of what a VMM under emulation
/// takes beyond its guest's pages, which has to stay under 45 MB. A boot would
/// fill 40, and initialising Python 25 more: whenever it is full it is emptied,
/// and each MiB less costs a cold start more, under 25 abruptly.
const TCG_CACHE_MIB: u32 = 25;
/// The same of a clone. It runs little, and takes 5 for a Python hello; but a Java hello
/// takes 37, and with less translates everything twice.
const TCG_CACHE_OF_CLONE_MIB: u32 = 48;
/// Some geometry, in which no guest is interested: by default QEMU guesses one from
/// a disk's first sector, and what is on a disk may not be known when it starts.
const GEOMETRY: &str = "cyls=1024,heads=16,secs=63";
/// Worker threads for disk I/O; QEMU's own bound of 64 is beyond any guest here.
const IO_THREADS_MAX: u32 = 8;

/// What a VMM finds around it: files by their paths, and the numbers of the
/// descriptors that it starts with.
#[derive(Debug)]
pub struct Surroundings {
    /// QEMU itself.
    pub program: PathBuf,
    /// Directory of its firmware.
    pub firmware_dir: PathBuf,
    /// What the guest comes from.
    pub origin: Origin,
    /// The file of the guest's memory, if it is in one.
    pub memory: PathBuf,
    /// The file that the state of devices goes to when the guest is captured, if it
    /// may be.
    pub state: Option<usize>,
    /// The stream to the agent.
    pub agent: usize,
    /// The control socket.
    pub qmp: usize,
    /// The tap device, if the guest has a network.
    pub tap: Option<Tap>,
    /// `/dev/kvm`, unless the processor is emulated.
    pub kvm: Option<usize>,
    /// For each disk, the descriptors it is opened with.
    pub disks: Vec<Vec<usize>>,
}

/// What a guest comes from.
#[derive(Debug)]
pub enum Origin {
    /// A boot.
    Boot {
        /// The guest's kernel.
        kernel: PathBuf,
        /// The guest's initial RAM file system.
        initramfs: PathBuf,
    },
    /// A captured guest.
    Captured {
        /// Descriptor of the file that the state of its devices is in, once the VMM is
        /// told to read it.
        state: usize,
    },
}

/// The guest's way out.
#[derive(Debug)]
pub struct Tap {
    /// Number of its descriptor.
    pub fd: usize,
    /// Largest packet, in bytes.
    pub mtu: u32,
}

/// The command line, the program included, that starts a guest. Public so that
/// a measurement can start the same guest without a jail.
pub fn line(
    spec: &VmSpec,
    isolation: Isolation,
    tsc_khz: u64,
    around: &Surroundings,
) -> Vec<String> {
    let mut line = Line(vec![around.program.display().to_string()]);
    // ioapic2: without it there are 8 places for devices instead of 24 for the
    // guest to probe. mem-merge: equal pages of two guests must never be merged.
    let machine = "microvm,ioapic2=off,acpi=on,x-option-roms=off,pit=off,pic=off,rtc=on,\
                   isa-serial=off,mem-merge=off,dump-guest-core=off,memory-backend=ram";
    line.pair("-M", machine);
    line.pair("-object", memory(spec, around));
    match (isolation, around.kvm) {
        (Isolation::QemuKvm, Some(fd)) => {
            line.pair("-add-fd", format!("fd={fd},set={fd}"));
            line.pair("-accel", format!("kvm,device=/dev/fdset/{fd}"));
            line.pair("-cpu", "host");
        }
        _ => {
            let cache_mib = match around.origin {
                Origin::Boot { .. } => TCG_CACHE_MIB,
                Origin::Captured { .. } => TCG_CACHE_OF_CLONE_MIB,
            };
            line.pair("-accel", format!("tcg,tb-size={cache_mib}"));
            // Five-level page tables make every emulated table walk longer.
            line.pair("-cpu", "max,la57=off");
        }
    }
    line.pair("-m", format!("{}M", spec.memory_mib));
    line.pair("-smp", spec.vcpus.to_string());
    // A vCPU serves its own kicks: to wake the main loop for them takes longer
    // than what it would do, the more so on an idle host.
    line.pair("-global", "virtio-mmio.ioeventfd=off");
    for flag in ["-nodefaults", "-no-user-config", "-nographic", "-no-reboot"] {
        line.0.push(flag.into());
    }
    line.pair(
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    );
    line.pair("-object", format!("main-loop,id=main-loop,thread-pool-max={IO_THREADS_MAX}"));
    line.pair("-L", around.firmware_dir.display().to_string());
    line.pair("-bios", super::binary::FIRMWARE);
    match &around.origin {
        Origin::Boot { kernel, initramfs } => {
            line.pair("-kernel", kernel.display().to_string());
            line.pair("-initrd", initramfs.display().to_string());
            line.pair("-append", kernel_command_line(tsc_khz));
        }
        Origin::Captured { state } => {
            line.pair("-add-fd", format!("fd={state},set={state}"));
            line.pair("-incoming", "defer");
        }
    }
    if let Some(state) = around.state {
        line.pair("-add-fd", format!("fd={state},set={state}"));
    }
    // Whoever captures a guest stops it first; its clones are to run.
    line.pair("-global", "migration.store-global-state=off");
    for (index, (disk, fds)) in spec.disks.iter().zip(&around.disks).enumerate() {
        for fd in fds {
            line.pair("-add-fd", format!("fd={fd},set={}", fds[0]));
        }
        let read_only = if disk.read_only { "on" } else { "off" };
        // Where the host's disk is full the guest is told; by default QEMU would
        // stop it, and it would hang. By default, too, it would drop the host's
        // cache of a disk that a clone comes with.
        line.pair(
            "-drive",
            format!(
                "id=d{index},if=none,format=raw,file.driver=file,file.filename=/dev/fdset/{},\
                 file.locking=off,file.drop-cache=off,werror=report,readonly={read_only}",
                fds[0]
            ),
        );
        line.pair("-device", format!("virtio-blk-device,drive=d{index},{GEOMETRY}"));
    }
    if let Some(Tap { fd, mtu }) = &around.tap {
        line.pair("-netdev", format!("tap,id=n,fd={fd}"));
        line.pair("-device", format!("virtio-net-device,netdev=n,mac={GUEST_MAC},host_mtu={mtu}"));
    }
    // Port 0 is kept for a console. Each port more is two queues of guest memory.
    line.pair("-device", "virtio-serial-device,max_ports=2");
    line.pair("-chardev", format!("socket,id=agent,fd={}", around.agent));
    line.pair("-device", format!("virtserialport,chardev=agent,name={AGENT_PORT}"));
    line.pair("-chardev", format!("socket,id=qmp,fd={}", around.qmp));
    line.pair("-mon", "chardev=qmp,mode=control");
    line.0
}

/// The guest's memory.
fn memory(spec: &VmSpec, around: &Surroundings) -> String {
    let size = spec.memory_mib;
    let file = around.memory.display();
    match spec.memory {
        Memory::Own => format!("memory-backend-ram,id=ram,size={size}M"),
        Memory::Captured(_) => {
            format!("memory-backend-file,id=ram,size={size}M,mem-path={file},share=on")
        }
        Memory::Cloned(_) => format!(
            "memory-backend-file,id=ram,size={size}M,mem-path={file},share=off,readonly=on,rom=off"
        ),
    }
}

/// Parts of a stock kernel that cost boot time and that nothing here uses: a
/// measurement of the clock's jitter (0.2 s emulated; the kernel's generator
/// does without), keys for signed modules, tracing and probes, knobs in sysfs,
/// devices that no guest has. Together a tenth of a boot beside the first.
const SKIPPED_INITCALLS: [&str; 17] = [
    "jent_mod_init",
    "load_system_certificate_list",
    "trace_eval_init",
    "trace_eval_sync",
    "ftrace_check_for_weak_functions",
    "ftrace_check_sync",
    "tracer_init_tracefs",
    "init_kprobe_trace",
    "init_kprobes",
    "param_sysfs_builtin_init",
    "slab_late_init",
    "cpumask_kfunc_init",
    "crypto_kdf108_init",
    "devlink_init",
    "ksm_init",
    "tpm_init",
    "vga_arb_device_init",
];

/// What the guest kernel is told. Everything here saves boot time but
/// `mitigations=off` (the guest runs one customer's code only; the host keeps
/// its own) and `panic=-1` (end at once).
fn kernel_command_line(tsc_khz: u64) -> String {
    format!(
        "quiet loglevel=0 panic=-1 tsc=reliable tsc_early_khz={tsc_khz} cryptomgr.notests \
         mitigations=off audit=0 apparmor=0 rcupdate.rcu_expedited=1 8250.nr_uarts=0 pci=off \
         no_timer_check random.trust_cpu=on ipv6.disable=1 init_on_alloc=0 lsm=landlock,yama \
         noreplace-smp initcall_blacklist={}",
        SKIPPED_INITCALLS.join(",")
    )
}

struct Line(Vec<String>);

impl Line {
    fn pair(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.into(), value.into()]);
    }
}
