//! The bare guest: QEMU as anybody would start it by hand, on the images that
//! Hearth boots.

use crate::agent::{Agent, Progress};
use crate::clone::Captured;
use crate::hearth::Environment;
use crate::round::Round;
use crate::{EXAMPLE, MEMORY_MIB, TMP_BYTES};
use anyhow::{Context, Result};
use hearth_agent_proto::{Configure, Identity, Limits};
use hearth_code_package::Package;
use hearth_e2e::percentile;
use hearth_images::{GuestImages, ImageCache};
use hearth_programs::qemu::QEMU;
use hearth_types::{Runtime, SANDBOX_PROCESSES_MAX};
use hearth_vmm::Isolation;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// The machine that Hearth uses, without what is only for isolation.
const MACHINE: &str = "microvm,acpi=on,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=off";
/// Trimmed as anybody would who cares for boot time: a longer one would flatter
/// Hearth.
const KERNEL_LINE: &str = "quiet loglevel=0 tsc=reliable cryptomgr.notests mitigations=off \
    audit=0 apparmor=0 rcupdate.rcu_expedited=1 8250.nr_uarts=0 pci=off no_timer_check \
    random.trust_cpu=on panic=-1";

/// Everything that bare guests are started from.
pub(crate) struct Bare {
    cache: ImageCache,
    images: GuestImages,
    runtime_layer: PathBuf,
    environment: Environment,
    isolation: Isolation,
    tsc_khz: u64,
    /// The code's image, the scratch disk, QEMU's last words.
    work: TempDir,
}

impl Bare {
    /// Makes ready what all rounds share.
    pub(crate) fn new(
        cache: ImageCache,
        environment: Environment,
        isolation: Isolation,
    ) -> Result<Self> {
        let images = cache.load()?;
        let work = TempDir::with_prefix("hearth-bench-")?;
        let source = crate::hearth::example_source()?;
        let zip = hearth_e2e::zip_of(&[("app.py", &source)]);
        Package::build_image(&zip, &work.path().join("code.erofs"))
            .with_context(|| format!("make the image of {EXAMPLE}"))?;
        let runtime_layer = images.runtime_layers.get(&Runtime::Python313);
        let runtime_layer =
            runtime_layer.context("no guest image of Python: hearth images build")?.path.clone();
        let tsc_khz = hearth_vmm::host_tsc_khz();
        Ok(Self { cache, images, runtime_layer, environment, isolation, tsc_khz, work })
    }

    /// Boots a guest, runs `warm` events in it, and ends it.
    pub(crate) async fn round(&self, warm: u32) -> Result<Round> {
        let scratch = self.work.path().join("tmp.ext4");
        self.cache.create_scratch(&scratch, TMP_BYTES)?;
        let stderr = self.work.path().join("stderr");
        let (ours, theirs) = UnixStream::pair()?;
        // The VMM's end has to outlive its exec.
        rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty())?;
        let mut command = self.command(&scratch, theirs.as_raw_fd())?;
        self.boot(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr)?);
        let configure = self.configure();

        let started = Instant::now();
        let mut vmm = command.kill_on_drop(true).spawn().context("start QEMU")?;
        drop(theirs);
        // Ends with the VMM, whose end is the stream's: no need to be cancelled.
        let session = tokio::task::spawn_blocking(move || session(ours, started, configure, warm));
        let measured = session.await?;
        vmm.kill().await.context("end the bare guest")?;
        measured.with_context(|| {
            let said = std::fs::read_to_string(&stderr).unwrap_or_default();
            format!("the bare guest failed; QEMU said {:?}", said.trim())
        })
    }

    /// Boots it once, initialises the function, and captures that.
    pub(crate) async fn capture(&self) -> Result<Captured> {
        Captured::new(self).await.context("capture a bare guest")
    }

    /// The cache that guests come from.
    pub(crate) fn cache(&self) -> &ImageCache {
        &self.cache
    }

    /// Where files of this measurement go.
    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// What functions find set.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Has the guest boot.
    pub(crate) fn boot(&self, line: &mut Command) {
        line.arg("-kernel")
            .arg(&self.images.kernel.path)
            .arg("-initrd")
            .arg(&self.images.initramfs.path)
            .args(["-append", &format!("{KERNEL_LINE} tsc_early_khz={}", self.tsc_khz)]);
    }

    /// A guest that is still to be told what it comes from.
    pub(crate) fn command(&self, scratch: &Path, agent_fd: i32) -> Result<Command> {
        let mut line = Command::from(QEMU.command()?);
        line.args(["-M", MACHINE])
            .args(match self.isolation {
                Isolation::QemuKvm => ["-accel", "kvm", "-cpu", "host"],
                Isolation::QemuTcg => ["-accel", "tcg", "-cpu", "max"],
            })
            .args(["-m", &format!("{MEMORY_MIB}M"), "-smp", "1", "-nodefaults"])
            .args(["-no-user-config", "-nographic", "-no-reboot", "-bios", "qboot.rom"]);
        let code = self.work.path().join("code.erofs");
        let read_only = [&self.images.os_layer.path, &self.runtime_layer, &code];
        let read_only = read_only.into_iter().map(|path| (path.as_path(), "on"));
        for (index, (path, mode)) in read_only.chain([(scratch, "off")]).enumerate() {
            // A comma ends an option's value unless it is doubled.
            let file = path.display().to_string().replace(',', ",,");
            line.arg("-drive")
                .arg(format!("id=d{index},file={file},format=raw,if=none,readonly={mode}"))
                .args(["-device", &format!("virtio-blk-device,drive=d{index}")]);
        }
        line.args(["-device", "virtio-serial-device"])
            .args(["-chardev", &format!("socket,id=agent,fd={agent_fd}")])
            .args(["-device", "virtserialport,chardev=agent,name=agent"]);
        Ok(line)
    }

    /// The function's part of a guest.
    pub(crate) fn configure(&self) -> Configure {
        Configure {
            identity: identity(),
            environment: self.environment.clone(),
            limits: Limits {
                memory_bytes: u64::from(MEMORY_MIB) << 20,
                tmp_bytes: TMP_BYTES,
                processes: SANDBOX_PROCESSES_MAX,
            },
        }
    }
}

/// Of nobody in particular.
pub(crate) fn identity() -> Identity {
    Identity {
        hostname: "bare".into(),
        clock_unix_ns: 0, // set when it is sent
        entropy: rand::random(),
        network: None,
    }
}

fn session(stream: UnixStream, started: Instant, configure: Configure, warm: u32) -> Result<Round> {
    let mut agent = Agent::new(stream);
    let Progress { hello, configured, ready } = agent.initialise(started, None, configure)?;
    // A function's first event is part of a cold start.
    agent.invoke(0)?;
    let overheads: Result<Vec<f64>> = (1..=warm).map(|n| Ok(ms(agent.invoke(n)?))).collect();
    let overheads = overheads?;
    let overhead = |q| percentile(&overheads, q).context("there were no warm events");
    Ok(Round {
        before: 0.0,
        boot: ms(hello),
        identity: ms(configured - hello),
        init: ms(ready - configured),
        cold: ms(ready),
        overhead_p50: overhead(0.5)?,
        overhead_p99: overhead(0.99)?,
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
