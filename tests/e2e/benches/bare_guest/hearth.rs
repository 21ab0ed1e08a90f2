//! Hearth's side: a real server, measured by its own `hearth bench`.

use crate::round::Round;
use crate::{EXAMPLE, MEMORY_MIB};
use anyhow::{Context, Result, ensure};
use hearth_e2e::{Account, Draft, Server, ServerOptions, eventually};
use hearth_vmm::Isolation;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Longest that one `hearth bench` may take.
const ROUND_MAX: Duration = Duration::from_secs(300);
/// Longest that a sandbox may take to go once its function has changed.
const GONE_MAX: Duration = Duration::from_secs(30);
/// Longest that VMMs may take to be made ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// The version that is restored.
const VERSION: &str = "1";
/// Restores before any is measured.
const RESTORES_BEFORE: u32 = 4;
/// A function that tells what variables its process was started with.
const TELLS_ITS_ENVIRONMENT: &str = r"
import os
def handler(event, context):
    return list(os.environ.items())
";
/// What the agent sets itself, in any guest.
const SET_BY_AGENT: &str = "AWS_LAMBDA_RUNTIME_API";

/// A runtime's environment variables.
pub(crate) type Environment = Vec<(String, String)>;

/// A server that has the function.
pub(crate) struct Hearth {
    server: Server,
    account: Account,
}

/// What is used of the report of `hearth bench`.
#[derive(Deserialize)]
struct BenchReport {
    kinds: BTreeMap<String, Kind>,
    failures: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    count: u32,
    stages_ms: BTreeMap<String, Summary>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Summary {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Kind {
    /// All zero for a stage that took no time.
    fn stage(&self, name: &str) -> Summary {
        self.stages_ms.get(name).copied().unwrap_or_default()
    }
}

/// Starts a server on the images of this cache.
pub(crate) async fn serve(image_cache: &Path) -> Result<Server> {
    let image_cache = Some(image_cache.to_owned());
    Server::start(&ServerOptions { image_cache, ..ServerOptions::default() }).await
}

impl Hearth {
    /// Deploys the function. Returns also the environment of a sandbox's
    /// runtime, as seen from within, so that a bare guest can be given the same.
    /// The start that this takes is not measured: it brings the images into the
    /// page cache.
    pub(crate) async fn deploy(server: Server) -> Result<(Self, Environment)> {
        let account = server.default_account()?;
        let draft =
            Draft::python(EXAMPLE, TELLS_ITS_ENVIRONMENT).memory_mb(MEMORY_MIB.into()).snap_start();
        let function = draft.create(&account).await?;
        let told = function.call(&json!({})).await.context("ask for the environment")?;
        let mut environment: Environment = serde_json::from_value(told)?;
        environment.retain(|(name, _)| name != SET_BY_AGENT);
        function.update_python(&String::from_utf8(example_source()?)?).await?;
        function.publish_active().await.context("publish the first version")?;
        let hearth = Self { server, account };
        hearth.no_sandboxes().await?;
        // Those that it learns its working set from.
        for _ in 0..RESTORES_BEFORE {
            hearth.restores(1).await?;
        }
        Ok((hearth, environment))
    }

    /// What a client waits until so many clones at once have answered, in milliseconds.
    pub(crate) async fn restores(&self, at_once: usize) -> Result<f64> {
        let count = at_once.to_string();
        let arguments = ["--qualifier", VERSION, "--starts", "restored"];
        let at_once = ["--count", &count, "--concurrency", &count];
        let report = self.bench(&[arguments, at_once].concat(), "restored", count.parse()?).await?;
        Ok(report.kinds["restored"].stage("total").max)
    }

    /// Waits until so many VMMs wait for a guest, as bare ones do before they are told.
    pub(crate) async fn vmms_wait(&self, count: usize) -> Result<()> {
        eventually("VMMs wait", READY_MAX, async || {
            Ok((self.server.holdings()?.vmms().len() >= count).then_some(()))
        })
        .await
    }

    /// What it runs guests on.
    pub(crate) fn isolation(&self) -> Result<Isolation> {
        let said = self.server.output();
        let is_said = |isolation: &Isolation| said.contains(&format!("isolation={isolation}"));
        let mut known = [Isolation::QemuKvm, Isolation::QemuTcg].into_iter();
        known.find(is_said).with_context(|| format!("on what does it run guests?\n{said}"))
    }

    /// One cold start and `warm` invokes after it, in a sandbox that is gone
    /// when this returns.
    pub(crate) async fn round(&self, warm: u32) -> Result<Round> {
        let booted = self.bench(&["--starts", "booted", "--count", "1"], "booted", 1).await?;
        // In a sandbox that goes when the function is put back as it was.
        let arguments = ["--cold", "--count", "1", "--warm-each", &warm.to_string()];
        let report = self.bench(&arguments, "warm", warm).await?;
        self.no_sandboxes().await?;
        let (cold, warm) = (&booted.kinds["booted"], &report.kinds["warm"]);
        let before = ["queue", "assign", "place", "fetch"];
        Ok(Round {
            before: before.map(|stage| cold.stage(stage).p50).iter().sum(),
            boot: cold.stage("resume").p50,
            identity: cold.stage("unique").p50,
            init: cold.stage("init").p50,
            cold: cold.stage("overhead").p50,
            overhead_p50: warm.stage("overhead").p50,
            overhead_p99: warm.stage("overhead").p99,
        })
    }

    /// Runs `hearth bench`, which has to see so many starts of a kind.
    async fn bench(&self, arguments: &[&str], kind: &str, wanted: u32) -> Result<BenchReport> {
        let arguments = [&["bench", EXAMPLE], arguments].concat();
        let report = self.server.client(&self.account, &arguments);
        let report: BenchReport = tokio::time::timeout(ROUND_MAX, report)
            .await
            .with_context(|| format!("hearth bench takes longer than {ROUND_MAX:?}"))??;
        let count = report.kinds.get(kind).map_or(0, |kind| kind.count);
        ensure!(count == wanted, "not {wanted} {kind}: {count}, failures {}", report.failures);
        Ok(report)
    }

    /// Ends the server, which must leave nothing.
    pub(crate) async fn stop(self) -> Result<()> {
        self.server.stop().await
    }

    /// Waits until nothing of a function's former self runs beside what is
    /// measured next.
    async fn no_sandboxes(&self) -> Result<()> {
        eventually("sandboxes of a changed function go", GONE_MAX, async || {
            Ok(self.server.sandboxes(&self.account).await?.is_empty().then_some(()))
        })
        .await
    }
}

/// The function's only file.
pub(crate) fn example_source() -> Result<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join("../../examples").join(EXAMPLE).join("app.py");
    std::fs::read(&file).with_context(|| format!("read {}", file.display()))
}
