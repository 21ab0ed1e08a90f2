//! Creating a sandbox: admission, code, microVM, identity, init.
//!
//! ```text
//! admit ─► queue ─► fetch ─► boot ─────► Hello ─► Configure ─► Configured ─► InitDone
//!          └queue┘  └fetch┘  └──── resume ────┘  └──── unique ──────────┘   └ init ┘
//! ```

use crate::admission::Reservation;
use crate::channel::{AgentChannel, ChannelError};
use crate::dialogue::{self, DialogueError, Outcome};
use crate::environment;
use crate::failure::Failure;
use crate::sandbox::{Resources, Sandbox, remove_dir};
use crate::{WorkerService, report};
use hearth_agent_proto::{Configure, Identity, Limits, Network};
use hearth_function_logs::LogWriter;
use hearth_images::Image;
use hearth_services::worker::{CreateError, Created};
use hearth_types::{
    FunctionVersion, SANDBOX_PROCESSES_MAX, SandboxId, StageTimes, StartKind, Timestamp,
};
use hearth_vmm::{Disk, Memory, Vm, VmSpec};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// Longest wait for a place among the starts; a worker that is so far behind has
/// no room, whatever its memory says.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(60);
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
            memory: Memory::Own,
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
            Ok((channel, Outcome::Done)) => {
                if let Err(error) = resources.vm.weigh_cpu(version.memory.cpu_millis()) {
                    tracing::warn!(sandbox = %id, %error, "cannot weigh a sandbox's CPU");
                }
                Ok((resources, channel))
            }
            Ok((_, Outcome::Failed { failure, error_type })) => {
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
    ) -> Result<(AgentChannel, Outcome), DialogueError> {
        let stream =
            resources.vm.take_agent_stream().ok_or(DialogueError::Agent("has no stream".into()))?;
        let mut channel = AgentChannel::new(stream).map_err(ChannelError::Io)?;
        dialogue::hello(&mut channel).await?;
        dialogue::prepare(&mut channel, None).await?;
        stages.resume = began.elapsed();

        let began = Instant::now();
        let configured =
            dialogue::configure(&mut channel, configure(id, version, resources)).await?;
        if matches!(configured, Outcome::Failed { .. }) {
            return Ok((channel, configured));
        }
        stages.unique = began.elapsed();
        // From here on it is the function's own time, as long as that may be:
        // it must not keep others from starting.
        drop(place);

        let began = Instant::now();
        let timeout = Duration::from_secs(u64::from(version.timeout.get()));
        let limit = self.options.init_free + timeout;
        let init = tokio::time::timeout(limit, dialogue::initialised(&mut channel, log)).await;
        stages.init = began.elapsed();
        let init = match init {
            Ok(init) => init?,
            // The free time is ours to give; what it exceeded is its timeout.
            Err(_) => Outcome::befell(&Failure::TimedOut(timeout)),
        };
        Ok((channel, init))
    }
}

fn configure(id: SandboxId, version: &FunctionVersion, resources: &Resources) -> Configure {
    Configure {
        identity: identity(id, resources.vm.as_ref()),
        environment: environment::for_sandbox(version, id, Timestamp::now()),
        limits: Limits {
            memory_bytes: u64::from(version.memory.get()) * 1024 * 1024,
            tmp_bytes: u64::from(version.ephemeral_storage.get()) * 1024 * 1024,
            processes: SANDBOX_PROCESSES_MAX,
        },
    }
}

fn identity(id: SandboxId, vm: &dyn Vm) -> Identity {
    Identity {
        hostname: id.to_string(),
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
