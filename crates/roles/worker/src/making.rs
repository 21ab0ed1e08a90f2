//! One sandbox in the making: its files, its guest, its identity, its init.

use crate::admission::Reservation;
use crate::capture::GuestMemory;
use crate::channel::AgentChannel;
use crate::code_cache::LocalImage;
use crate::dialogue::{self, DialogueError, Outcome};
use crate::environment::{self, InitializationType};
use crate::failure::Failure;
use crate::report::Phase;
use crate::sandbox::{Resources, Sandbox};
use crate::snapshot::{FunctionSnapshot, Snapshot};
use crate::{WorkerService, layers, report};
use hearth_agent_proto::{Configure, Identity, Limits, Network};
use hearth_function_logs::LogWriter;
use hearth_images::Image;
use hearth_services::worker::CreateError;
use hearth_types::{
    FunctionVersion, INIT_SNAPSHOT_S, RESTORE_LIMIT_S, Runtime, SANDBOX_PROCESSES_MAX, SandboxId,
    StageTimes, Timestamp,
};
use hearth_vmm::{Disk, Memory, Vm, VmSpec};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// How long a clone may take to be unique, its function's hooks included.
const RESTORE_LIMIT: Duration = Duration::from_secs(RESTORE_LIMIT_S);

/// What a guest comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A boot.
    Boot,
    /// A clone of its runtime's.
    Layer(&'a Snapshot),
}

/// A guest of its runtime, with its disks, that is nobody's sandbox yet.
pub(crate) struct Guest {
    made: Made,
    channel: AgentChannel,
}

/// A guest and what it holds.
pub(crate) struct Made {
    pub(crate) vm: Arc<dyn Vm>,
    pub(crate) code: Arc<LocalImage>,
    pub(crate) scratch: PathBuf,
    /// Its memory's file, if it is to be captured.
    pub(crate) memory: Option<std::fs::File>,
    channel: Option<AgentChannel>,
}

/// One sandbox in the making.
pub(crate) struct Making<'a> {
    pub(crate) worker: &'a Arc<WorkerService>,
    pub(crate) version: &'a Arc<FunctionVersion>,
    /// Its own files; whoever makes it removes them if it fails.
    pub(crate) dir: PathBuf,
    pub(crate) stages: StageTimes,
    /// Whether it is to be captured.
    pub(crate) to_capture: bool,
    id: SandboxId,
    log: LogWriter,
}

impl WorkerService {
    pub(crate) fn runtime_layer(&self, runtime: Runtime) -> Result<&Image, CreateError> {
        self.images.runtime_layers.get(&runtime).ok_or(CreateError::RuntimeNotBuilt(runtime))
    }
}

impl<'a> Making<'a> {
    pub(crate) fn new(
        worker: &'a Arc<WorkerService>,
        id: SandboxId,
        version: &'a Arc<FunctionVersion>,
        stages: StageTimes,
    ) -> Self {
        let dir = worker.options.sandboxes_dir().join(id.to_string());
        let log = worker.logs.writer(&version.key.account, &version.key.function);
        Self { worker, version, dir, stages, to_capture: false, id, log }
    }

    /// A guest that waits for its function.
    pub(crate) async fn guest(&mut self, origin: Origin<'_>) -> Result<Guest, CreateError> {
        let began = Instant::now();
        let code = self.code().await?;
        let scratch = self.scratch_path().await?;
        self.format_scratch(&scratch).await?;
        let memory = match (origin, self.to_capture) {
            (Origin::Boot, false) => None,
            (Origin::Boot, true) => Some(GuestMemory::empty(self.memory_mib()).await),
            (Origin::Layer(layer), _) => Some(layer.copy_of_memory().await),
        };
        let memory = memory.transpose().map_err(fetch)?;
        self.stages.fetch += began.elapsed();

        let began = Instant::now();
        let spec = self.spec(self.memory(memory.as_ref()), code.path(), &scratch)?;
        let driver = &self.worker.driver;
        let vm = match origin {
            Origin::Boot => driver.create(spec).await.map_err(vm)?,
            Origin::Layer(layer) => driver
                .prepare(spec)
                .await
                .map_err(vm)?
                .resume(layer.state.clone())
                .await
                .map_err(vm)?,
        };
        let memory = memory.map(GuestMemory::opened).filter(|_| self.to_capture);
        let made = Made { vm, code, scratch, memory, channel: None };
        match ready(&made, origin).await {
            Ok(channel) => {
                self.stages.resume += began.elapsed();
                Ok(Guest { made, channel })
            }
            Err(error) => Err(self.not_up(&made, error).await),
        }
    }

    /// Makes a guest the sandbox, and has its runtime initialise the function.
    pub(crate) async fn initialise(
        &mut self,
        guest: Guest,
        how: InitializationType,
        place: SemaphorePermit<'_>,
    ) -> Result<Made, CreateError> {
        let Guest { made, mut channel } = guest;
        let began = Instant::now();
        let configured = dialogue::configure(&mut channel, self.configuration(&made, how)).await;
        self.stages.unique = began.elapsed();
        // From here on it is the function's own time, as long as that may be:
        // it must not keep others from starting.
        drop(place);
        let began = Instant::now();
        let outcome = match configured {
            Ok(Outcome::Done) => {
                let limit = self.init_limit(how);
                let init = dialogue::initialised(&mut channel, &self.log);
                tokio::time::timeout(limit.real, init)
                    .await
                    .unwrap_or_else(|_| Ok(Outcome::befell(&Failure::TimedOut(limit.told))))
            }
            other => other,
        };
        self.stages.init = began.elapsed();
        self.conclude(made, channel, outcome, self.stages.init, Phase::Init).await
    }

    /// Makes the sandbox a clone of one that was initialised.
    pub(crate) async fn restore(&mut self, of: &FunctionSnapshot) -> Result<Made, CreateError> {
        let began = Instant::now();
        let code = self.code().await?;
        let scratch = self.scratch_path().await?;
        of.copy_scratch(&scratch).await.map_err(fetch)?;
        let memory = of.guest.copy_of_memory().await.map_err(fetch)?;
        self.stages.fetch += began.elapsed();

        let began = Instant::now();
        let spec = self.spec(memory.cloned(), code.path(), &scratch)?;
        let prepared = self.worker.driver.prepare(spec).await.map_err(vm)?;
        let resumed = prepared.resume(of.guest.state.clone()).await.map_err(vm)?;
        drop(memory);
        let made = Made { vm: resumed, code, scratch, memory: None, channel: None };
        let mut channel = match layers::channel_of(made.vm.as_ref()) {
            Ok(channel) => channel,
            Err(error) => return Err(self.not_up(&made, error).await),
        };
        self.stages.resume += began.elapsed();

        let began = Instant::now();
        let identity = self.identity(made.vm.as_ref());
        let restored = dialogue::restore(&mut channel, identity, &self.log);
        let outcome = tokio::time::timeout(RESTORE_LIMIT, restored).await;
        let timed_out = outcome.is_err();
        let outcome =
            outcome.unwrap_or_else(|_| Ok(Outcome::befell(&Failure::TimedOut(RESTORE_LIMIT))));
        self.stages.unique = began.elapsed();
        match self.conclude(made, channel, outcome, self.stages.unique, Phase::Restore).await {
            Err(CreateError::InitFailed { .. }) if timed_out => Err(CreateError::RestoreTimedOut),
            Err(CreateError::InitFailed { failure, .. }) => {
                Err(CreateError::RestoreFailed { failure })
            }
            concluded => concluded,
        }
    }

    /// What is made, as a sandbox in service.
    pub(crate) fn sandbox(self, made: Made, reservation: Reservation) -> Sandbox {
        let channel = made.channel.expect("what is made has been concluded");
        Sandbox {
            id: self.id,
            version: Arc::clone(self.version),
            log: self.log,
            channel: tokio::sync::Mutex::new(channel),
            resources: Resources {
                vm: made.vm,
                dir: self.dir,
                _code: made.code,
                _reservation: reservation,
            },
        }
    }

    /// Notes that a way of starting failed, so that a longer one is taken.
    pub(crate) fn lost(&self, error: &(dyn Error + 'static), what: &str) {
        tracing::warn!(sandbox = %self.id, error, "{what} cannot be used; starting without it");
    }

    async fn conclude(
        &self,
        made: Made,
        channel: AgentChannel,
        outcome: Result<Outcome, DialogueError>,
        took: Duration,
        phase: Phase,
    ) -> Result<Made, CreateError> {
        match outcome {
            Ok(Outcome::Done) => {
                if let Err(error) = made.vm.weigh_cpu(self.version.memory.cpu_millis()) {
                    tracing::warn!(sandbox = %self.id, %error, "cannot weigh a sandbox's CPU");
                }
                Ok(Made { channel: Some(channel), ..made })
            }
            Ok(Outcome::Failed { failure, error_type }) => {
                self.log.append(report::start_failed(took, phase, &error_type).as_bytes());
                made.vm.kill().await;
                Err(CreateError::InitFailed { failure, stages: self.stages })
            }
            Err(error) => Err(self.not_up(&made, error).await),
        }
    }

    async fn not_up(&self, made: &Made, error: DialogueError) -> CreateError {
        made.vm.kill().await;
        let exit = made.vm.exited().await;
        tracing::warn!(sandbox = %self.id, ?exit, "a microVM did not come up");
        vm(error)
    }

    async fn code(&self) -> Result<Arc<LocalImage>, CreateError> {
        self.worker.code.get(&self.version.code.image_object).await.map_err(fetch)
    }

    /// Where its scratch disk goes. Another way of starting may have been tried.
    async fn scratch_path(&self) -> Result<PathBuf, CreateError> {
        match tokio::fs::create_dir(&self.dir).await {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(fetch(e)),
            _ => {}
        }
        let path = self.dir.join("tmp.ext4");
        match tokio::fs::remove_file(&path).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(fetch(e)),
            _ => Ok(path),
        }
    }

    async fn format_scratch(&self, path: &Path) -> Result<(), CreateError> {
        let bytes = u64::from(self.version.ephemeral_storage.get()) * 1024 * 1024;
        let (target, cache) = (path.to_owned(), Arc::clone(&self.worker.image_cache));
        tokio::task::spawn_blocking(move || cache.create_scratch(&target, bytes))
            .await
            .map_err(fetch)?
            .map_err(fetch)
    }

    pub(crate) fn memory_mib(&self) -> u32 {
        self.version.memory.get() + self.worker.options.guest_overhead_mib
    }

    fn memory(&self, file: Option<&GuestMemory>) -> Memory {
        match file {
            None => Memory::Own,
            Some(file) if self.to_capture => file.captured(),
            Some(file) => file.cloned(),
        }
    }

    fn spec(&self, memory: Memory, code: &Path, scratch: &Path) -> Result<VmSpec, CreateError> {
        let disk = |path: &Path| Disk { path: path.to_owned(), read_only: true };
        let images = &self.worker.images;
        Ok(VmSpec {
            id: self.id,
            memory_mib: self.memory_mib(),
            memory,
            vcpus: self.version.memory.vcpus(),
            kernel: images.kernel.path.clone(),
            initramfs: images.initramfs.path.clone(),
            disks: vec![
                disk(&images.os_layer.path),
                disk(&self.worker.runtime_layer(self.version.runtime)?.path),
                disk(code),
                Disk { path: scratch.to_owned(), read_only: false },
            ],
            network: true,
        })
    }

    fn configuration(&self, made: &Made, how: InitializationType) -> Configure {
        let version = self.version;
        let environment = environment::for_sandbox(version, self.id, Timestamp::now(), how);
        Configure {
            identity: self.identity(made.vm.as_ref()),
            environment,
            limits: Limits {
                memory_bytes: u64::from(version.memory.get()) * 1024 * 1024,
                tmp_bytes: u64::from(version.ephemeral_storage.get()) * 1024 * 1024,
                processes: SANDBOX_PROCESSES_MAX,
            },
        }
    }

    fn identity(&self, vm: &dyn Vm) -> Identity {
        Identity {
            hostname: self.id.to_string(),
            clock_unix_ns: hearth_ambient::clock::unix_now().as_nanos() as u64,
            entropy: hearth_ambient::random::bytes(),
            network: vm.network().map(|n| Network {
                address: n.address.octets(),
                prefix_bits: n.prefix_bits,
                gateway: n.gateway.octets(),
                dns: n.dns.first().copied().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED).octets(),
            }),
        }
    }

    fn init_limit(&self, how: InitializationType) -> Limit {
        match how {
            InitializationType::OnDemand => {
                // The free time is ours to give; what it exceeded is its timeout.
                let timeout = Duration::from_secs(u64::from(self.version.timeout.get()));
                Limit { real: self.worker.options.init_free + timeout, told: timeout }
            }
            InitializationType::SnapStart => {
                let limit = Duration::from_secs(INIT_SNAPSHOT_S);
                Limit { real: limit, told: limit }
            }
        }
    }
}

/// How long the function's own part may take, and how long it is told that it had.
struct Limit {
    real: Duration,
    told: Duration,
}

/// Waits for a guest to be one of its runtime.
async fn ready(made: &Made, origin: Origin<'_>) -> Result<AgentChannel, DialogueError> {
    let mut channel = layers::channel_of(made.vm.as_ref())?;
    if matches!(origin, Origin::Boot) {
        dialogue::hello(&mut channel).await?;
        dialogue::prepare(&mut channel, None).await?;
    }
    Ok(channel)
}

fn fetch(error: impl Error + Send + Sync + 'static) -> CreateError {
    CreateError::Fetch(Box::new(error))
}

fn vm(error: impl Error + Send + Sync + 'static) -> CreateError {
    CreateError::Vm(Box::new(error))
}
