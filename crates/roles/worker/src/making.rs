//! One sandbox in the making: its files, its guest, its identity, its init.

use crate::admission::Reservation;
use crate::blank::{Blank, BlankError, Cloned, Disks};
use crate::capture::{GuestMemory, write_data};
use crate::channel::AgentChannel;
use crate::code::{Code, local};
use crate::dialogue::{self, DialogueError, Outcome};
use crate::environment::{self, InitializationType};
use crate::failure::Failure;
use crate::holding::Holding;
use crate::learning::Recording;
use crate::newcomers::Newcomer;
use crate::report::{self, Phase};
use crate::sandbox::{DirGuard, Resources, Sandbox};
use crate::shape::Shape;
use crate::{WorkerService, layers, pool};
use hearth_agent_proto::{Configure, Identity, Limits, Network};
use hearth_chunk_store::StoredFile;
use hearth_function_logs::LogWriter;
use hearth_images::Image;
use hearth_page_server::CloneFile;
use hearth_services::worker::CreateError;
use hearth_snapshot_store::{Name, Stored};
use hearth_types::{
    FunctionVersion, INIT_SNAPSHOT_S, Partition, RESTORE_LIMIT_S, Runtime, SANDBOX_PROCESSES_MAX,
    SandboxId, StageTimes, Timestamp,
};
use hearth_vmm::{Disk, Memory, Vm};
use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// How long a clone may take to be unique, its function's hooks included.
const RESTORE_LIMIT: Duration = Duration::from_secs(RESTORE_LIMIT_S);

/// A guest and what it holds.
pub(crate) struct Guest {
    pub(crate) vm: Arc<dyn Vm>,
    pub(crate) scratch: PathBuf,
    /// Its memory, if it is to be captured.
    pub(crate) captured: Option<File>,
    channel: AgentChannel,
    dir: PathBuf,
    code: Code,
    served: Served,
}

/// What a guest has of the page server, and the snapshot it came from.
#[derive(Default)]
pub(crate) struct Served {
    _disks: Option<Disks>,
    memory: Option<Arc<CloneFile>>,
    origin: Option<Arc<Stored>>,
    /// Which server they are of.
    pub(crate) generation: Option<u64>,
}

impl Served {
    /// What the snapshot is called that it came from.
    pub(crate) fn origin_name(&self) -> Option<&Name> {
        self.origin.as_ref().map(|origin| &origin.name)
    }
}

/// One sandbox in the making.
pub(crate) struct Making<'a> {
    pub(crate) worker: &'a Arc<WorkerService>,
    pub(crate) version: &'a Arc<FunctionVersion>,
    pub(crate) stages: StageTimes,
    /// Whether it is to be captured.
    pub(crate) to_capture: bool,
    /// Whether the guest is in the function's hands, so that its end may be its doing.
    pub(crate) is_functions: bool,
    id: SandboxId,
    log: LogWriter,
}

impl WorkerService {
    #[allow(clippy::result_large_err, reason = "its callers' error, once for each start")]
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
        let log = worker.logs.writer(&version.key.account, &version.key.function);
        Self { worker, version, stages, to_capture: false, is_functions: false, id, log }
    }

    /// A guest that boots, and then waits for its function.
    pub(crate) async fn boot(&mut self) -> Result<Guest, CreateError> {
        let began = Instant::now();
        self.is_functions = false;
        let code = self.code().await?;
        let dir = self.worker.options.sandboxes_dir().join(self.id.to_string());
        let shape = Shape::of(self.worker, self.version);
        let scratch = self.worker.make_scratch(&dir, shape.scratch_mib).await.map_err(fetch)?;
        let disks = match self.disks(&code, &dir).await {
            Ok(disks) => disks,
            Err(error) => {
                crate::sandbox::remove_dir(&dir).await;
                return Err(error);
            }
        };
        self.stages.fetch += began.elapsed();

        let began = Instant::now();
        let memory = match self.to_capture {
            true => Some(GuestMemory::empty(shape.memory_mib).await.map_err(fetch)?),
            false => None,
        };
        let place = memory.as_ref().map_or(Memory::Own, GuestMemory::captured);
        let (disks, generation, of_guest) = match disks {
            Ok((disks, generation)) => {
                let of_guest = disks.with(&scratch);
                (Some(disks), Some(generation), of_guest)
            }
            Err(plain) => (None, None, with_scratch(plain, &scratch)),
        };
        let spec = self.worker.spec(self.id, shape, place, of_guest);
        let started = self.worker.driver.create(spec).await;
        let captured = memory.map(|memory| memory.split().0);
        let vm = match started {
            Ok(vm) => vm,
            Err(error) => {
                crate::sandbox::remove_dir(&dir).await;
                return Err(failed(error));
            }
        };
        let ready = async {
            let mut channel = layers::channel_of(vm.as_ref())?;
            dialogue::hello(&mut channel).await?;
            dialogue::prepare(&mut channel, None).await?;
            Ok(channel)
        };
        let ready: Result<AgentChannel, DialogueError> = ready.await;
        match ready {
            Ok(channel) => {
                self.stages.resume += began.elapsed();
                let served = Served { _disks: disks, memory: None, origin: None, generation };
                Ok(Guest { vm, scratch, captured, channel, dir, code, served })
            }
            Err(error) => Err(self.not_up(vm.as_ref(), &dir, error).await),
        }
    }

    /// A clone of a captured guest, on its own disks.
    pub(crate) async fn clone_of(&mut self, snapshot: &Arc<Stored>) -> Result<Guest, CreateError> {
        let began = Instant::now();
        self.is_functions = false;
        let code = self.code().await?;
        let shape = Shape::of(self.worker, self.version);
        let serving = self.worker.serving.as_ref();
        let serving = serving.ok_or_else(|| failed(io::Error::other("there is no page server")))?;
        let blank = match self.to_capture {
            false => pool::take(self.worker, serving, shape).await,
            true => Blank::to_capture(self.worker, serving, shape, snapshot).await,
        };
        let blank = blank.map_err(failed)?;
        let (dir, scratch) = (blank.dir.clone(), blank.scratch.clone());
        if let Some(written) = &snapshot.scratch
            && let Err(error) = overwrite(&scratch, written).await
        {
            blank.discard().await;
            return Err(failed(error));
        }
        self.stages.fetch += began.elapsed();

        let began = Instant::now();
        let layer = &self.worker.runtime_layer(self.version.runtime)?.path;
        let os = &self.worker.images.os_layer.path;
        let images = [local(os), local(layer), code.reference()];
        let cloned = match blank.become_clone(snapshot, &images).await {
            Ok(cloned) => cloned,
            Err(error) => {
                crate::sandbox::remove_dir(&dir).await;
                return Err(failed(error));
            }
        };
        let Cloned { vm, disks, memory, captured, generation, origin } = cloned;
        let channel = match layers::channel_of(vm.as_ref()) {
            Ok(channel) => channel,
            Err(error) => return Err(self.not_up(vm.as_ref(), &dir, error).await),
        };
        self.stages.resume += began.elapsed();
        let served = Served {
            _disks: Some(disks),
            memory,
            origin: Some(origin),
            generation: Some(generation),
        };
        Ok(Guest { vm, scratch, captured, channel, dir, code, served })
    }

    /// Makes a guest the sandbox, and has its runtime initialise the function.
    pub(crate) async fn initialise(
        &mut self,
        mut guest: Guest,
        how: InitializationType,
        place: &mut Option<SemaphorePermit<'_>>,
    ) -> Result<Guest, CreateError> {
        let began = Instant::now();
        self.is_functions = true;
        let configuration = self.configuration(guest.vm.as_ref(), how);
        let configured = dialogue::configure(&mut guest.channel, configuration).await;
        self.stages.unique = began.elapsed();
        // From here on it is the function's own time, as long as that may be:
        // it must not keep others from starting.
        drop(place.take());
        let began = Instant::now();
        let outcome = match configured {
            Ok(Outcome::Done) => {
                let limit = self.init_limit(how);
                let init = dialogue::initialised(&mut guest.channel, &self.log);
                tokio::time::timeout(limit.real, init)
                    .await
                    .unwrap_or_else(|_| Ok(Outcome::befell(&Failure::TimedOut(limit.told))))
            }
            other => other,
        };
        self.stages.init = began.elapsed();
        self.conclude(guest, outcome, self.stages.init, Phase::Init).await
    }

    /// Makes a clone of an initialised guest the sandbox.
    pub(crate) async fn restore(&mut self, mut guest: Guest) -> Result<Guest, CreateError> {
        let began = Instant::now();
        self.is_functions = true;
        let identity = self.identity(guest.vm.as_ref());
        let restored = dialogue::restore(&mut guest.channel, identity, &self.log);
        let outcome = tokio::time::timeout(RESTORE_LIMIT, restored).await;
        let timed_out = outcome.is_err();
        let outcome =
            outcome.unwrap_or_else(|_| Ok(Outcome::befell(&Failure::TimedOut(RESTORE_LIMIT))));
        self.stages.unique = began.elapsed();
        match self.conclude(guest, outcome, self.stages.unique, Phase::Restore).await {
            Err(CreateError::InitFailed { .. }) if timed_out => Err(CreateError::RestoreTimedOut),
            Err(CreateError::InitFailed { failure, .. }) => {
                Err(CreateError::RestoreFailed { failure })
            }
            concluded => concluded,
        }
    }

    /// What is made, as a sandbox in service.
    pub(crate) fn sandbox(
        self,
        guest: Guest,
        partition: Partition,
        reservation: Reservation,
        newcomer: Newcomer,
    ) -> Sandbox {
        let Guest { vm, channel, dir, code, served, .. } = guest;
        let recording = served.origin.as_ref().zip(served.memory.as_ref());
        let recording = recording.map(|(origin, memory)| Recording::of(origin, memory));
        Sandbox {
            id: self.id,
            version: Arc::clone(self.version),
            partition,
            holding: Holding::default(),
            log: self.log,
            channel: tokio::sync::Mutex::new(channel),
            recording: parking_lot::Mutex::new(recording),
            newcomer: parking_lot::Mutex::new(Some(newcomer)),
            is_lost: AtomicBool::new(false),
            resources: Resources {
                vm,
                dir,
                generation: served.generation,
                _code: code,
                _served: served,
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
        guest: Guest,
        outcome: Result<Outcome, DialogueError>,
        took: Duration,
        phase: Phase,
    ) -> Result<Guest, CreateError> {
        match outcome {
            Ok(Outcome::Done) => {
                if let Err(error) = guest.vm.weigh_cpu(self.version.memory.cpu_millis()) {
                    tracing::warn!(sandbox = %self.id, %error, "cannot weigh a sandbox's CPU");
                }
                Ok(guest)
            }
            Ok(Outcome::Failed { failure, error_type }) => {
                self.log.append(report::start_failed(took, phase, &error_type).as_bytes());
                guest.discard().await;
                Err(CreateError::InitFailed { failure, stages: self.stages })
            }
            Err(error) => Err(self.not_up(guest.vm.as_ref(), &guest.dir, error).await),
        }
    }

    async fn not_up(&self, vm: &dyn Vm, dir: &Path, error: DialogueError) -> CreateError {
        vm.kill().await;
        let exit = vm.exited().await;
        tracing::warn!(sandbox = %self.id, ?exit, "a microVM did not come up");
        crate::sandbox::remove_dir(dir).await;
        failed(error)
    }

    async fn code(&self) -> Result<Code, CreateError> {
        self.worker.code_of(self.version).await.map_err(fetch)
    }

    /// Disks for a boot: served ones and of which server, or plain ones where there
    /// is no page server; then with a copy of the image, in the guest's directory.
    async fn disks(
        &self,
        code: &Code,
        dir: &Path,
    ) -> Result<Result<(Disks, u64), [PathBuf; 3]>, CreateError> {
        let os = &self.worker.images.os_layer.path;
        let runtime = &self.worker.runtime_layer(self.version.runtime)?.path;
        let Some(serving) = &self.worker.serving else {
            let copy = dir.join("code.erofs");
            copied(&code.file, &copy).await.map_err(fetch)?;
            return Ok(Err([os.clone(), runtime.clone(), copy]));
        };
        let made = async {
            let files = serving.servers.get(self.worker).await?;
            let disks = Disks::unbound(&files).await?;
            disks.bind(&[local(os), local(runtime), code.reference()]).await?;
            Ok::<_, BlankError>((disks, files.generation()))
        };
        made.await.map(Ok).map_err(failed)
    }

    fn configuration(&self, vm: &dyn Vm, how: InitializationType) -> Configure {
        let version = self.version;
        let environment = environment::for_sandbox(version, self.id, Timestamp::now(), how);
        Configure {
            identity: self.identity(vm),
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

impl Guest {
    /// Ends it and removes its files.
    pub(crate) async fn discard(self) {
        self.vm.kill().await;
        crate::sandbox::remove_dir(&self.dir).await;
    }

    /// Removes its files when whoever makes it is cut off.
    pub(crate) fn guard(&self) -> DirGuard {
        DirGuard::new(self.dir.clone())
    }

    /// The snapshot that it is a clone of.
    pub(crate) fn origin(&self) -> Option<Arc<Stored>> {
        self.served.origin.clone()
    }
}

/// How long the function's own part may take, and how long it is told that it had.
struct Limit {
    real: Duration,
    told: Duration,
}

/// Writes a stored file to a new one.
async fn copied(stored: &StoredFile, to: &Path) -> io::Result<()> {
    let file = File::create_new(to)?;
    file.set_len(stored.size())?;
    write_data(stored, &file).await
}

/// Puts what a captured guest had on its scratch disk in place of what is there.
async fn overwrite(scratch: &Path, with: &StoredFile) -> io::Result<()> {
    let file = File::options().write(true).open(scratch)?;
    let bytes = file.metadata()?.len();
    // The VMM has it open: it has to stay the same file, of the same size.
    file.set_len(0)?;
    file.set_len(bytes)?;
    write_data(with, &file).await
}

fn with_scratch(plain: [PathBuf; 3], scratch: &Path) -> Vec<Disk> {
    let read_only = plain.into_iter().map(|path| Disk { path, read_only: true });
    read_only.chain([Disk { path: scratch.to_owned(), read_only: false }]).collect()
}

fn fetch(error: impl Error + Send + Sync + 'static) -> CreateError {
    CreateError::Fetch(Box::new(error))
}

fn failed(error: impl Error + Send + Sync + 'static) -> CreateError {
    CreateError::Vm(Box::new(error))
}
