//! The worker over a driver without microVMs: the test plays the agent.

use crate::{LocalWorker, WorkerDeps, WorkerOptions, WorkerService};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use hearth_agent_proto::{
    Decoder, ExitStatus, Frame, FromAgent, PROTOCOL_VERSION, ResultHead, ResultKind, ToAgent,
    encode_bulk, encode_message,
};
use hearth_chunk_store::{ChunkName, ChunkStore, Keyring, Options, Owner};
use hearth_function_logs::LogStore;
use hearth_images::{GuestImages, Image, ImageCache};
use hearth_services::logs::LogReader;
use hearth_services::worker::{
    CreateError, InitFailure, Invocation, InvokeError, InvokeResult, Invoked, Started, Worker,
};
use hearth_snapshot_store::SnapshotStore;
use hearth_types::*;
use hearth_vmm::{
    DeviceState, GuestNetwork, Isolation, PreparedVm, Vm, VmDriver, VmError, VmExit, VmExitStatus,
    VmSpec, VmStats,
};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

const ACCOUNT: &str = "123456789012";
const INIT_DONE: FromAgent = FromAgent::InitDone { took_us: 1, memory_peak_bytes: 1 };

/// A runtime's end with exit status 1.
fn exited(in_event: bool) -> FromAgent {
    FromAgent::RuntimeExited {
        status: ExitStatus::Exited(1),
        in_event,
        out_of_memory: false,
        memory_peak_bytes: 1,
    }
}

/// What the agent does once it is configured.
#[derive(Clone, Copy)]
enum Play {
    /// Its runtime exits while it initialises.
    ExitsInInit,
    /// It never gets ready.
    HangsInInit,
    /// Its runtime exits once it is ready.
    ExitsBeforeEvents,
    /// It answers one event; the next comes while its runtime exits.
    ExitsBetweenEvents,
    /// Its runtime exits in its second event.
    ExitsInEvent,
    /// It sends these bytes in its first event, where an answer is due.
    Breaks(&'static [u8]),
    /// It answers every event.
    Answers,
}

struct Agent {
    stream: UnixStream,
    decoder: Decoder,
}

impl Agent {
    async fn say(&mut self, message: &FromAgent) {
        let mut wire = Vec::new();
        encode_message(message, &mut wire).unwrap();
        self.stream.write_all(&wire).await.unwrap();
    }

    /// The next message; payloads are skipped.
    async fn heard(&mut self) -> ToAgent {
        loop {
            match self.decoder.next_frame().unwrap() {
                Some(Frame::Message(message)) => return message,
                Some(Frame::Bulk(_)) => {}
                None => {
                    let read = self.stream.read_buf(self.decoder.buffer()).await.unwrap();
                    assert_ne!(read, 0, "the worker hung up");
                }
            }
        }
    }

    async fn answer(&mut self) {
        let body = b"1";
        let kind = ResultKind::Response;
        self.say(&FromAgent::Result(ResultHead { kind, body_bytes: 1 })).await;
        let mut wire = Vec::new();
        encode_bulk(body, &mut wire);
        self.stream.write_all(&wire).await.unwrap();
        self.say(&FromAgent::ResultEnd { run_us: 1, memory_peak_bytes: 1 }).await;
    }

    async fn play(mut self, play: Play) {
        self.say(&FromAgent::Hello { protocol: PROTOCOL_VERSION, booted_us: 1 }).await;
        assert!(matches!(self.heard().await, ToAgent::Prepare(_)));
        self.say(&FromAgent::Prepared { took_us: 1 }).await;
        assert!(matches!(self.heard().await, ToAgent::Configure(_)));
        self.say(&FromAgent::Configured { took_us: 1 }).await;
        match play {
            Play::HangsInInit => {}
            Play::ExitsInInit => self.say(&exited(false)).await,
            Play::ExitsBeforeEvents => {
                self.say(&INIT_DONE).await;
                self.say(&exited(false)).await;
            }
            Play::ExitsBetweenEvents | Play::ExitsInEvent => {
                self.say(&INIT_DONE).await;
                self.heard().await;
                self.answer().await;
                self.heard().await;
                self.say(&exited(matches!(play, Play::ExitsInEvent))).await;
            }
            Play::Breaks(bytes) => {
                self.say(&INIT_DONE).await;
                self.heard().await;
                self.stream.write_all(bytes).await.unwrap();
            }
            Play::Answers => {
                self.say(&INIT_DONE).await;
                loop {
                    self.heard().await;
                    self.answer().await;
                }
            }
        }
        // Lives on, as a guest without its runtime does.
        std::future::pending::<()>().await;
    }
}

/// Each sandbox's agent, in the order of their creation.
struct Driver(Mutex<VecDeque<Play>>);

#[async_trait]
impl VmDriver for Driver {
    fn isolation(&self) -> Isolation {
        Isolation::QemuTcg
    }
    async fn create(&self, _: VmSpec) -> Result<Arc<dyn Vm>, VmError> {
        let (host, guest) = UnixStream::pair().map_err(VmError::Spawn)?;
        let agent = Agent { stream: guest, decoder: Decoder::new() };
        let play = self.0.lock().pop_front().expect("a play for each sandbox");
        tokio::spawn(agent.play(play));
        Ok(Arc::new(FakeVm { stream: Mutex::new(Some(host)), dead: watch::Sender::new(false) }))
    }
    fn machine(&self) -> &str {
        "none"
    }
    /// No guest of this one can be captured, so none is restored.
    async fn prepare(&self, _: VmSpec) -> Result<Box<dyn PreparedVm>, VmError> {
        Err(VmError::ShuttingDown)
    }
    async fn shutdown(&self) {}
}

struct FakeVm {
    stream: Mutex<Option<UnixStream>>,
    dead: watch::Sender<bool>,
}

#[async_trait]
impl Vm for FakeVm {
    fn pid(&self) -> u32 {
        0
    }
    fn network(&self) -> Option<GuestNetwork> {
        None
    }
    fn take_agent_stream(&self) -> Option<UnixStream> {
        self.stream.lock().take()
    }
    async fn capture(&self) -> Result<DeviceState, VmError> {
        Err(VmError::Capture(io::ErrorKind::Unsupported.into()))
    }
    fn weigh_cpu(&self, _: u32) -> io::Result<()> {
        Ok(())
    }
    async fn stats(&self) -> io::Result<VmStats> {
        Ok(VmStats { memory_bytes: 0, cpu: Duration::ZERO })
    }
    async fn kill(&self) {
        self.dead.send_replace(true);
    }
    async fn exited(&self) -> VmExit {
        self.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
        VmExit { status: VmExitStatus::Killed, stderr: String::new() }
    }
}

struct Fixture {
    /// Of the last event.
    serial: AtomicU64,
    worker: LocalWorker,
    logs: Arc<LogStore>,
    image: String,
    objects: Arc<dyn ObjectStore>,
    dir: tempfile::TempDir,
}

async fn fixture(plays: impl IntoIterator<Item = Play>) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let keyring = Keyring::local(&dir.path().join("keyring")).await.unwrap();
    // Nothing in memory: what is read is read from the origin.
    let options = Options { memory_bytes: 0, ..Options::default() };
    let chunks = ChunkStore::new(objects.clone(), keyring, options).unwrap();
    let owner = Owner::Unknown(ACCOUNT.parse().unwrap());
    let image = chunks.write(&owner, vec![1; 4096]).await.unwrap().id.to_string();
    let nothing = Image {
        path: dir.path().to_owned(),
        digest: serde_json::from_str("\"0\"").unwrap(),
        bytes: 0,
    };
    let images = GuestImages {
        kernel: nothing.clone(),
        initramfs: nothing.clone(),
        os_layer: nothing.clone(),
        runtime_layers: [(Runtime::Python313, nothing)].into(),
    };
    let logs = Arc::new(LogStore::open(dir.path().join("logs")).unwrap());
    let options = WorkerOptions {
        dir: dir.path().join("worker"),
        memory_bytes: 1 << 30,
        disk_bytes: Some(1 << 30),
        sandboxes_max: 2,
        starts_max: 1,
        init_free: Duration::ZERO,
        guest_overhead_mib: 0,
        vmm_overhead_mib: 0,
    };
    let deps = WorkerDeps {
        driver: Arc::new(Driver(Mutex::new(plays.into_iter().collect()))),
        images,
        image_cache: Arc::new(ImageCache::open(dir.path().join("images")).unwrap()),
        logs: logs.clone(),
        snapshots: SnapshotStore::new(chunks, objects.clone()),
        page_server: None,
    };
    let worker = LocalWorker(WorkerService::open(options, deps).unwrap());
    Fixture { serial: AtomicU64::new(1), worker, logs, image, objects, dir }
}

fn version(runtime: Runtime, image: &str) -> Arc<FunctionVersion> {
    Arc::new(FunctionVersion {
        key: VersionKey {
            account: ACCOUNT.parse().unwrap(),
            function: "f".parse().unwrap(),
            version: Version::Latest,
            revision: RevisionId::new(),
        },
        region: "local".into(),
        description: String::new(),
        role: String::new(),
        runtime,
        handler: "app.handler".into(),
        memory: MemoryMb::default(),
        timeout: TimeoutS::try_from(1).unwrap(),
        ephemeral_storage: EphemeralStorageMb::default(),
        environment: BTreeMap::new(),
        code: CodeLocation {
            zip_sha256_base64: String::new(),
            zip_bytes: 0,
            zip_file: String::new(),
            image_file: image.into(),
            image_bytes: 4096,
        },
        logging: LoggingConfig { log_group: "/aws/lambda/f".into() },
        state: State::Active,
        state_reason: None,
        state_reason_code: None,
        snap_start: SnapStart::default(),
        snapshot: None,
        last_update_status: LastUpdateStatus::Successful,
        last_update_reason: None,
        last_modified: Timestamp(0),
    })
}

impl Fixture {
    async fn create(&self) -> Result<SandboxId, CreateError> {
        let id = SandboxId::new();
        let version = version(Runtime::Python313, &self.image);
        self.worker.create(id, &version, StartKind::Warm, Reign::ALONE).await.map(|_| id)
    }

    async fn invoke(&self, id: SandboxId, first: bool) -> Result<Invoked, InvokeError> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let event = Invocation {
            hold: Hold { reign: Reign::ALONE, serial },
            request_id: RequestId::new(),
            invoked_arn: String::new(),
            trace_id: String::new(),
            client_context: None,
            payload: "{}".into(),
            timeout: Duration::from_secs(60),
            started: first.then_some(Started::Initialised(Duration::ZERO)),
            log_tail: true,
        };
        self.worker.invoke(id, event).await
    }

    async fn log(&self) -> String {
        let key = version(Runtime::Python313, &self.image).key.clone();
        self.logs.read(&key.account, &key.function, 0).await.unwrap().text
    }
}

fn answer(invoked: Result<Invoked, InvokeError>) -> String {
    match invoked.unwrap().result {
        InvokeResult::Response(body) => String::from_utf8(body.to_vec()).unwrap(),
        InvokeResult::SandboxFailed(failure) => String::from_utf8(failure.body.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_runtime_without_an_image_is_refused_and_costs_nothing() {
    let f = fixture([Play::HangsInInit]).await;
    let version = version(Runtime::NodeJs22, &f.image);
    let refused = f.worker.create(SandboxId::new(), &version, StartKind::Warm, Reign::ALONE).await;
    assert!(matches!(refused, Err(CreateError::RuntimeNotBuilt(Runtime::NodeJs22))), "{refused:?}");
    assert_eq!(f.worker.status().await.unwrap().sandboxes, 0);
}

#[tokio::test]
async fn a_failed_init_says_what_befell_the_function() {
    let cases = [
        (Play::ExitsInInit, "Runtime.ExitError", "Runtime exited with error: exit status 1"),
        // Its own timeout: that it was given more is nothing it can see.
        (Play::HangsInInit, "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    ];
    for (play, error_type, text) in cases {
        let f = fixture([play]).await;
        let Err(CreateError::InitFailed { failure, .. }) = f.create().await else {
            panic!("{text}: it initialised")
        };
        assert_eq!(
            failure,
            InitFailure::Befell { error_type: error_type.into(), text: text.to_owned() }
        );
        assert!(f.log().await.contains(&format!("Error Type: {error_type}")));
        assert_eq!(f.worker.status().await.unwrap().sandboxes, 0);
    }
}

#[tokio::test]
async fn a_runtime_that_ended_between_events_loses_none() {
    let f = fixture([Play::ExitsBetweenEvents]).await;
    let id = f.create().await.unwrap();
    assert_eq!(answer(f.invoke(id, true).await), "1");
    let lost = f.invoke(id, false).await;
    assert!(matches!(lost, Err(InvokeError::Gone)), "another sandbox may serve: {lost:?}");
}

#[tokio::test]
async fn a_runtime_that_ends_in_an_event_is_the_functions_failure() {
    let f = fixture([Play::ExitsInEvent]).await;
    let id = f.create().await.unwrap();
    assert_eq!(answer(f.invoke(id, true).await), "1");
    assert!(answer(f.invoke(id, false).await).contains("Runtime.ExitError"));
}

#[tokio::test]
async fn a_runtime_that_ends_before_its_first_event_is_the_functions_failure() {
    let f = fixture([Play::ExitsBeforeEvents]).await;
    let id = f.create().await.unwrap();
    assert!(answer(f.invoke(id, true).await).contains("Runtime exited with error: exit status 1"));
    let log = f.log().await;
    assert!(log.contains("START RequestId") && log.contains("Runtime.ExitError"), "{log}");
}

#[tokio::test]
async fn a_guest_that_breaks_the_protocol_costs_its_own_sandbox_alone() {
    let broken: [(&str, &'static [u8]); 4] = [
        ("a frame longer than any may be", &[0xff, 0xff, 0xff, 0xff, 0]),
        ("a kind that there is not", &[1, 0, 0, 0, 9, 0]),
        ("a message that says nothing", &[3, 0, 0, 0, 1, 0xff, 0xff, 0xff]),
        ("bytes that nothing announced", &[1, 0, 0, 0, 0, b'x']),
    ];
    for (what, bytes) in broken {
        let f = fixture([Play::Breaks(bytes), Play::Answers]).await;
        let (hostile, neighbour) = (f.create().await.unwrap(), f.create().await.unwrap());
        let (failed, answered) = tokio::join!(f.invoke(hostile, true), f.invoke(neighbour, true));
        let failed = failed.unwrap().result;
        let InvokeResult::SandboxFailed(failure) = failed else { panic!("{what}: {failed:?}") };
        let failure = String::from_utf8(failure.body.to_vec()).unwrap();
        assert!(failure.contains("Sandbox.Failure"), "{what}: {failure}");
        assert_eq!(answer(answered), "1", "{what}");
        assert_eq!(answer(f.invoke(neighbour, false).await), "1", "{what}");
    }
}

#[tokio::test]
async fn an_image_that_is_damaged_or_not_there_starts_nothing() {
    let f = fixture([]).await;
    let elsewhere = ChunkName::of(b"elsewhere").to_string();
    for name in ["no name", &elsewhere] {
        let version = version(Runtime::Python313, name);
        let made = f.worker.create(SandboxId::new(), &version, StartKind::Warm, Reign::ALONE).await;
        assert!(matches!(made, Err(CreateError::Fetch(_))), "{made:?}");
        assert_eq!(f.worker.status().await.unwrap().sandboxes, 0);
    }
    // Its manifest is there, and the one chunk that it names is not what it was.
    for chunk in f.objects.list(Some(&"chunks".into())).try_collect::<Vec<_>>().await.unwrap() {
        f.objects.put(&chunk.location, vec![0; chunk.size as usize].into()).await.unwrap();
    }
    let made = f.create().await;
    assert!(matches!(made, Err(CreateError::Fetch(_))), "{made:?}");
    assert_eq!(f.worker.status().await.unwrap().sandboxes, 0);
    assert_eq!(std::fs::read_dir(f.dir.path().join("worker/sandboxes")).unwrap().count(), 0);
}
