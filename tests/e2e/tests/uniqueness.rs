//! Clones of one guest differ in all that must: twenty of a function's snapshot, and
//! twenty of its runtime's, all against all.

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hearth_e2e::{
    Draft, Function, Server, ServerCase, ServerOptions, Start, java_function, run_on, zip_of,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Clones that are compared: any two that agree by chance in as little as six digits
/// are one failure in millions of runs.
const CLONES: usize = 20;
/// Numbers that a clone draws of a stream, one after the other.
const STREAM: usize = 5;
/// Clones that are made at a time: each has its share of a processor then, and none
/// reads the clock long before it answers.
const AT_ONCE: usize = 2;
/// How far a clone's clock may be from the host's.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cases = vec![
        ServerCase::new("python_clones_differ", python_clones_differ),
        ServerCase::new("node_clones_differ", node_clones_differ).long(),
        ServerCase::new("java_clones_differ", java_clones_differ).long(),
    ];
    run_on(ServerOptions::default(), 1, cases)
}

async fn python_clones_differ(server: Arc<Server>) -> Result<()> {
    let source = include_bytes!("../functions/uniqueness-python/app.py");
    let zip = zip_of(&[("app.py", source)]);
    let draft = Draft::new("unique-python", "python3.13", "app.handler", zip);
    let version = publish(draft, &server).await?;
    let mut seen = Seen::default();
    for clone in clones(&version, Start::Restored).await? {
        seen.restored(&clone, "init")?;
        seen.differs(&clone, &clone.value["handler"], "time", Duration::from_secs_f64)?;
    }
    seen.all_of(CLONES, &["uuid4", "urandom", "client_hello.random", "machine_id", "hostname"])?;
    seen.all_of(STREAM * CLONES, &["random"])?;
    for clone in clones(&version, Start::Cold).await? {
        // Each initialised for itself: what it drew then is its own as well.
        seen.differs(&clone, &clone.value["handler"], "time", Duration::from_secs_f64)?;
        seen.differs(&clone, &clone.value["init"], "time", Duration::from_secs_f64)?;
    }
    seen.all_of(3 * CLONES, &["uuid4", "urandom", "rand_bytes", "client_hello.random"])?;
    seen.all_of(3 * STREAM * CLONES, &["random"])?;
    // These a clone keeps from its init on.
    seen.all_of(2 * CLONES, &["machine_id", "hostname"])
}

async fn node_clones_differ(server: Arc<Server>) -> Result<()> {
    let source = include_bytes!("../functions/uniqueness-node/app.js");
    let zip = zip_of(&[("app.js", source)]);
    let draft = Draft::new("unique-node", "nodejs22.x", "app.handler", zip);
    let version = publish(draft, &server).await?;
    let mut seen = Seen::default();
    for how in [Start::Restored, Start::Cold] {
        for clone in clones(&version, how).await? {
            if how == Start::Restored {
                seen.restored(&clone, "init")?;
            }
            seen.differs(&clone, &clone.value["handler"], "now", from_millis)?;
        }
    }
    seen.all_of(2 * CLONES, &["randomUUID", "randomBytes", "getRandomValues", "randomInt"])?;
    seen.all_of(2 * STREAM * CLONES, &["mathRandom"])?;
    seen.all_of(2 * CLONES, &["clientHello.random", "mkdtemp", "machineId", "hostname"])
}

async fn java_clones_differ(server: Arc<Server>) -> Result<()> {
    let code = java_function("uniqueness-java")?;
    let draft = Draft::new("unique-java", "java21", "uniqueness.Uniqueness", code);
    let version = publish(draft, &server).await?;
    let mut seen = Seen::default();
    for clone in clones(&version, Start::Restored).await? {
        seen.differs(&clone, &clone.value, "time_ms", from_millis)?;
    }
    seen.all_of(CLONES, &["uuid", "secure_random", "secure_random_kept", "secure_random_sun"])?;
    seen.all_of(CLONES, &["random", "math_random", "thread_local_random", "splittable_random"])?;
    seen.all_of(CLONES, &["shuffle", "temp_file", "temp_path", "tls_client_random", "hostname"])
}

fn from_millis(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1e3)
}

async fn publish(draft: Draft, server: &Server) -> Result<Function> {
    draft.snap_start().create(&server.default_account()?).await?.publish_active().await
}

/// What a clone answered, and when it must have.
struct Answered {
    value: Value,
    asked: Duration,
    answered: Duration,
}

/// Clones, each in a sandbox of its own, by this start.
async fn clones(of: &Function, how: Start) -> Result<Vec<Answered>> {
    let clone = |_| async {
        let asked = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let value = of.call_started(how, &json!({})).await?;
        let answered = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Answered { value, asked, answered })
    };
    stream::iter(0..CLONES).map(clone).buffer_unordered(AT_ONCE).try_collect().await
}

/// What clones have said so far.
#[derive(Default)]
struct Seen {
    /// What they have in common.
    past: Option<Value>,
    /// By what it is.
    samples: BTreeMap<String, BTreeSet<String>>,
    /// Every single draw and name, whatever it was of: what is drawn under one name must
    /// not come again under another either.
    draws: BTreeSet<String>,
}

impl Seen {
    /// A clone of one snapshot has the past of all others, or nothing is proven.
    fn restored(&mut self, clone: &Answered, past: &str) -> Result<()> {
        let past = &clone.value[past];
        ensure!(past.is_object(), "no past: {}", clone.value);
        let first = self.past.get_or_insert_with(|| past.clone());
        ensure!(first == past, "not of one snapshot: {first}, {past}");
        ensure!(clone.value["handler"] != *past, "the past comes again: {past}");
        Ok(())
    }

    /// Takes a clone's samples in: none was seen before, and its clock is right.
    fn differs(
        &mut self,
        clone: &Answered,
        samples: &Value,
        clock: &str,
        since_epoch: fn(f64) -> Duration,
    ) -> Result<()> {
        let told = samples[clock].as_f64().with_context(|| format!("no {clock}: {samples}"))?;
        let told = since_epoch(told);
        let (from, to) = (clone.asked - CLOCK_OFF_MAX, clone.answered + CLOCK_OFF_MAX);
        ensure!(told >= from && told <= to, "its clock says {told:?}, not {from:?}..{to:?}");
        let mut leaves = Vec::new();
        flatten("", samples, &mut leaves);
        for (name, value) in leaves {
            // Of these a clone has one, however often it is asked; `all_of` counts them.
            let kept = ["hostname", "machine_id", "machineId", "log_stream"];
            if name == clock || value == "null" || value == "false" {
                continue;
            }
            let of_name = self.samples.entry(name.clone()).or_default();
            let new = of_name.insert(value.clone());
            if kept.contains(&name.as_str()) {
                continue;
            }
            ensure!(new, "{name} came twice: {value}");
            ensure!(self.draws.insert(value.clone()), "{name} came elsewhere before: {value}");
        }
        Ok(())
    }

    /// As many values of each were seen, all different.
    fn all_of(&self, count: usize, names: &[&str]) -> Result<()> {
        for name in names {
            let different = self.samples.get(*name).map_or(0, BTreeSet::len);
            ensure!(different == count, "{different} different of {name}, not {count}");
        }
        Ok(())
    }
}

/// Leaves by their path. Of a list each element counts for itself, so that no two
/// streams have even one in common.
fn flatten(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|e| flatten(path, e, into)),
        leaf => into.push((path.to_owned(), leaf.to_string())),
    }
}
