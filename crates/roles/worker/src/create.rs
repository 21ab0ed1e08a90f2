//! Creating a sandbox: admission, code, microVM, identity, init.
//!
//! ```text
//! admit ─► queue ─► fetch ─► boot ─────► Hello ─► Configure ─► Configured ─► InitDone
//!          └queue┘  └fetch┘  └──── resume ────┘  └──── unique ──────────┘   └ init ┘
//! ```

use crate::admission::Reservation;
use crate::assembler::AgentEvent;
use crate::channel::{AgentChannel, ChannelError};
use crate::environment;
use crate::failure::Failure;
use crate::sandbox::{Resources, Sandbox, remove_dir};
use crate::{WorkerService, report};
use hearth_agent_proto::{
    Configure, FailureKind, Limits, Network, PROTOCOL_VERSION, ToAgent, encode_message,
};
use hearth_function_logs::LogWriter;
use hearth_images::Image;
use hearth_services::worker::{CreateError, Created, FunctionFailure, InitFailure};
use hearth_types::{
    FunctionVersion, SANDBOX_PROCESSES_MAX, SandboxId, StageTimes, StartKind, Timestamp,
};
use hearth_vmm::{Disk, VmSpec};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// Longest wait for a place among the starts; a worker that is so far behind has
/// no room, whatever its memory says.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest that a guest may take to boot; generous, for an emulated guest on a
/// loaded host.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that a guest may take to take on its identity.
const CONFIGURE_TIMEOUT: Duration = Duration::from_secs(20);

/// A guest that did not come up.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("the guest did not {0} in time")]
    TimedOut(&'static str),
    #[error("the stream to the guest failed")]
    Channel(#[from] ChannelError),
    #[error("the guest speaks protocol {0}, not {PROTOCOL_VERSION}: rebuild the guest images")]
    Protocol(u16),
    #[error("the guest's agent failed: {0}")]
    Agent(String),
    #[error("the guest said {0} out of turn")]
    OutOfTurn(String),
    #[error("the guest's configuration does not encode")]
    Encode(#[source] hearth_agent_proto::ProtocolError),
}

/// How initialisation ended, if the guest held.
enum Init {
    Done,
    Failed { failure: InitFailure, error_type: String },
}

impl WorkerService {
    pub(crate) async fn create_sandbox(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
    ) -> Result<(Arc<Sandbox>, Created), CreateError> {
        // First: it is in vain to make room or wait for what cannot be started.
        let runtime_layer = self
            .images
            .runtime_layers
            .get(&version.runtime)
            .ok_or(CreateError::RuntimeNotBuilt(version.runtime))?;
        let memory_mib = version.memory.get() + self.options.guest_overhead_mib;
        let promised = version.room().plus(self.options.overhead());
        let reservation = self.admission.admit(promised).ok_or(CreateError::NoCapacity)?;

        let mut stages = StageTimes::default();
        let began = Instant::now();
        let place = match tokio::time::timeout(QUEUE_WAIT_MAX, self.starts.acquire()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_closed)) => return Err(CreateError::ShuttingDown),
            Err(_elapsed) => return Err(CreateError::NoCapacity),
        };
        stages.queue = began.elapsed();

        let dir = self.options.sandboxes_dir().join(id.to_string());
        let log = self.logs.writer(&version.key.account, &version.key.function);
        let result = self
            .start(
                id,
                version,
                runtime_layer,
                memory_mib,
                reservation,
                place,
                &dir,
                &log,
                &mut stages,
            )
            .await;
        if result.is_err() {
            remove_dir(&dir).await;
        }
        let (resources, channel) = result?;
        let created = Created { start: StartKind::Cold, stages };
        let sandbox = Sandbox {
            id,
            version: Arc::clone(version),
            log,
            channel: tokio::sync::Mutex::new(channel),
            resources,
        };
        Ok((Arc::new(sandbox), created))
    }

    #[allow(clippy::too_many_arguments)] // the one place where all of a start meets
    async fn start(
        &self,
        id: SandboxId,
        version: &Arc<FunctionVersion>,
        runtime_layer: &Image,
        memory_mib: u32,
        reservation: Reservation,
        place: SemaphorePermit<'_>,
        dir: &std::path::Path,
        log: &LogWriter,
        stages: &mut StageTimes,
    ) -> Result<(Resources, AgentChannel), CreateError> {
        let began = Instant::now();
        let code = self
            .code
            .get(&version.code.image_object)
            .await
            .map_err(|e| CreateError::Fetch(Box::new(e)))?;
        let scratch = self.prepare_scratch(dir, version).await?;
        stages.fetch = began.elapsed();

        let began = Instant::now();
        let disk = |path: &std::path::Path| Disk { path: path.to_owned(), read_only: true };
        let spec = VmSpec {
            id,
            memory_mib,
            vcpus: version.memory.vcpus(),
            kernel: self.images.kernel.path.clone(),
            initramfs: self.images.initramfs.path.clone(),
            disks: vec![
                disk(&self.images.os_layer.path),
                disk(&runtime_layer.path),
                disk(code.path()),
                Disk { path: scratch, read_only: false },
            ],
            network: true,
        };
        let vm = self.driver.create(spec).await.map_err(|e| CreateError::Vm(Box::new(e)))?;
        let resources =
            Resources { vm, dir: dir.to_owned(), _code: code, _reservation: reservation };
        let booted = self.boot(id, version, &resources, place, log, began, stages).await;
        match booted {
            Ok((channel, Init::Done)) => {
                if let Err(error) = resources.vm.weigh_cpu(version.memory.cpu_millis()) {
                    tracing::warn!(sandbox = %id, %error, "cannot weigh a sandbox's CPU");
                }
                Ok((resources, channel))
            }
            Ok((_, Init::Failed { failure, error_type })) => {
                log.append(report::init_failed(stages.init, &error_type).as_bytes());
                resources.release().await;
                Err(CreateError::InitFailed { failure, stages: *stages })
            }
            Err(error) => {
                resources.release().await;
                let exit = resources.vm.exited().await;
                tracing::warn!(sandbox = %id, ?exit, "a microVM did not come up");
                Err(CreateError::Vm(Box::new(error)))
            }
        }
    }

    async fn prepare_scratch(
        &self,
        dir: &std::path::Path,
        version: &FunctionVersion,
    ) -> Result<std::path::PathBuf, CreateError> {
        let path = dir.join("tmp.ext4");
        let bytes = u64::from(version.ephemeral_storage.get()) * 1024 * 1024;
        tokio::fs::create_dir(dir).await.map_err(|e| CreateError::Fetch(Box::new(e)))?;
        let (target, cache) = (path.clone(), Arc::clone(&self.image_cache));
        tokio::task::spawn_blocking(move || cache.create_scratch(&target, bytes))
            .await
            .map_err(|e| CreateError::Fetch(Box::new(e)))?
            .map_err(|e| CreateError::Fetch(Box::new(e)))?;
        Ok(path)
    }

    #[allow(clippy::too_many_arguments)] // likewise
    async fn boot(
        &self,
        id: SandboxId,
        version: &FunctionVersion,
        resources: &Resources,
        place: SemaphorePermit<'_>,
        log: &LogWriter,
        began: Instant,
        stages: &mut StageTimes,
    ) -> Result<(AgentChannel, Init), BootError> {
        let stream =
            resources.vm.take_agent_stream().ok_or(BootError::Agent("has no stream".into()))?;
        let mut channel = AgentChannel::new(stream).map_err(ChannelError::Io)?;
        match next_within(&mut channel, BOOT_TIMEOUT, "boot").await? {
            AgentEvent::Hello { protocol: PROTOCOL_VERSION } => {}
            AgentEvent::Hello { protocol } => return Err(BootError::Protocol(protocol)),
            other => return Err(out_of_turn(other)),
        }
        stages.resume = began.elapsed();

        let began = Instant::now();
        let configure = configure(id, version, resources);
        let mut wire = Vec::new();
        encode_message(&ToAgent::Configure(Box::new(configure)), &mut wire)
            .map_err(BootError::Encode)?;
        let configured = tokio::time::timeout(CONFIGURE_TIMEOUT, channel.exchange(&wire, Some))
            .await
            .map_err(|_| BootError::TimedOut("take on its identity"))??;
        match configured {
            AgentEvent::Configured => {}
            AgentEvent::Failed { kind: FailureKind::NoEntrypoint, .. } => {
                return Ok((channel, init_failure(&Failure::NoEntrypoint)));
            }
            AgentEvent::Failed { detail, .. } => return Err(BootError::Agent(detail)),
            other => return Err(out_of_turn(other)),
        }
        stages.unique = began.elapsed();
        // From here on it is the function's own time, as long as that may be:
        // it must not keep others from starting.
        drop(place);

        let began = Instant::now();
        let timeout = Duration::from_secs(u64::from(version.timeout.get()));
        let limit = self.options.init_free + timeout;
        let init = tokio::time::timeout(limit, initialise(&mut channel, log)).await;
        stages.init = began.elapsed();
        let init = match init {
            Ok(init) => init?,
            // The free time is ours to give; what it exceeded is its timeout.
            Err(_) => init_failure(&Failure::TimedOut(timeout)),
        };
        Ok((channel, init))
    }
}

/// Waits for the runtime to ask for its first event.
async fn initialise(channel: &mut AgentChannel, log: &LogWriter) -> Result<Init, BootError> {
    loop {
        return Ok(match channel.next().await? {
            AgentEvent::Log(bytes) => {
                log.append(&bytes);
                continue;
            }
            AgentEvent::InitDone { .. } => Init::Done,
            AgentEvent::InitFailed { body } => {
                let error_type = serde_json::from_slice::<serde_json::Value>(&body)
                    .ok()
                    .and_then(|v| v.get("errorType")?.as_str().map(str::to_owned))
                    .unwrap_or_else(|| "Runtime.Unknown".into());
                let failure = InitFailure::Reported(FunctionFailure { body });
                Init::Failed { failure, error_type }
            }
            AgentEvent::RuntimeExited { status, out_of_memory, .. } => {
                init_failure(&Failure::RuntimeExited { status, out_of_memory })
            }
            AgentEvent::Failed { kind: FailureKind::NoEntrypoint, .. } => {
                init_failure(&Failure::NoEntrypoint)
            }
            AgentEvent::Failed { detail, .. } => return Err(BootError::Agent(detail)),
            other => return Err(out_of_turn(other)),
        });
    }
}

fn init_failure(failure: &Failure) -> Init {
    Init::Failed { failure: failure.for_init(), error_type: failure.error_type().to_owned() }
}

async fn next_within(
    channel: &mut AgentChannel,
    limit: Duration,
    what: &'static str,
) -> Result<AgentEvent, BootError> {
    let event = tokio::time::timeout(limit, channel.next())
        .await
        .map_err(|_| BootError::TimedOut(what))??;
    match event {
        AgentEvent::Failed { detail, .. } => Err(BootError::Agent(detail)),
        event => Ok(event),
    }
}

fn out_of_turn(event: AgentEvent) -> BootError {
    BootError::OutOfTurn(event.summary())
}

fn configure(id: SandboxId, version: &FunctionVersion, resources: &Resources) -> Configure {
    let now = hearth_ambient::clock::unix_now();
    Configure {
        hostname: id.to_string(),
        clock_unix_ns: now.as_nanos() as u64,
        entropy: hearth_ambient::random::bytes(),
        environment: environment::for_sandbox(version, id, Timestamp::now()),
        limits: Limits {
            memory_bytes: u64::from(version.memory.get()) * 1024 * 1024,
            tmp_bytes: u64::from(version.ephemeral_storage.get()) * 1024 * 1024,
            processes: SANDBOX_PROCESSES_MAX,
        },
        network: resources.vm.network().map(|n| Network {
            address: n.address.octets(),
            prefix_bits: n.prefix_bits,
            gateway: n.gateway.octets(),
            dns: n.dns.first().copied().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED).octets(),
        }),
    }
}
