//! What snapshots are made of dies, is cut off or is damaged: a start takes a longer
//! way, or says what is wrong; wrong bytes never run, and nothing is left behind.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_lambda::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_lambda::types::State;
use hearth_e2e::{
    Account, Case, Draft, Function, Leftovers, Server, ServerOptions, Start, eventually, run,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;

/// Longest that a state may take to come about.
const SOON: Duration = Duration::from_secs(30);
/// Longest that a moment of a build may be waited for: a boot and two layers come first.
const BUILD: Duration = Duration::from_secs(90);
/// Longest that damage may take to be made good: layers and the function, one after the
/// other, on a host that has other things to do.
const HEALED: Duration = Duration::from_secs(120);
/// What is said of a start that a snapshot was tried for in vain.
const IN_VAIN: &str = "cannot be used; starting without it";
/// How often the moment is looked for, so that none is missed.
const GLANCE: Duration = Duration::from_millis(2);

fn main() -> ExitCode {
    let cases = vec![
        Case::new("a_killed_page_server_is_replaced", a_killed_page_server_is_replaced),
        Case::new("a_build_survives_kill_9", a_build_survives_kill_9),
        Case::new("a_server_ends_while_a_layer_is_made", a_server_ends_while_a_layer_is_made),
        Case::new("damage_never_runs", damage_never_runs).long(),
        Case::new("damage_is_survived_without_a_restart", damage_is_survived_without_a_restart),
        Case::new("damaged_code_is_refused_and_healed_code_runs", damaged_code_is_refused),
        Case::new("lost_snapshots_are_done_without", lost_snapshots_are_done_without).long(),
        Case::new("a_strangers_snapshot_cannot_be_put_under", a_strangers_snapshot),
    ];
    run(1, cases)
}

/// Answers with a digest of much memory that it filled while initialising: a wrong
/// byte of it would tell.
const DIGESTS: &str = r#"
import hashlib, os, time
BORN = time.time_ns()
def ballast():
    block, blocks = b"hearth", []
    for _ in range(1024):
        block = hashlib.sha256(block).digest()
        blocks.append(block * 128)
    return b"".join(blocks)
BALLAST = ballast()
with open("/tmp/ballast", "wb") as file: file.write(BALLAST)
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    with open("/tmp/ballast", "rb") as file: disk = file.read()
    return {
        "digest": hashlib.sha256(BALLAST).hexdigest(),
        "disk": hashlib.sha256(disk).hexdigest(),
        "born": BORN,
        "name": os.environ.get("NAME"),
    }
"#;

fn digests(name: &str) -> Draft {
    Draft::python(name, DIGESTS).memory_mb(256).env("NAME", name).snap_start()
}

fn kill(pid: i32) -> Result<()> {
    Ok(kill_process(Pid::from_raw(pid).context("a process has an id")?, Signal::KILL)?)
}

/// The one page server of a server.
fn page_server(server: &Server) -> Result<i32> {
    let found = server.holdings()?.page_servers();
    ensure!(found.len() == 1, "page servers: {found:?}");
    Ok(found[0])
}

async fn a_killed_page_server_is_replaced() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let account = server.default_account()?;
    let latest = digests("pages").create(&account).await?;
    let version = latest.publish_active().await?;
    let first = version.call(&json!({})).await?;
    latest.call(&json!({})).await?;
    let idle: Vec<_> = server.sandboxes(&account).await?.into_iter().map(|s| s.id).collect();
    ensure!(idle.len() == 2, "{idle:?}");

    for round in 0..2 {
        let running = tokio::spawn({
            let version = version.clone();
            async move { version.invoke(&json!({"seconds": 25})).await }
        });
        eventually("a busy sandbox", SOON, || async {
            let sandboxes = server.sandboxes(&account).await?;
            Ok(sandboxes.iter().any(|s| s.state == "busy").then_some(()))
        })
        .await?;
        let before = page_server(&server)?;
        kill(before)?;
        // Whoever runs is told, at once, and what was idle is gone.
        let answer =
            tokio::time::timeout(SOON / 2, running).await.context("nobody is told")???;
        let failure = answer.failure()?;
        ensure!(failure.error_type == "Sandbox.Failure", "{failure:?}");
        server.says("the page server died", SOON).await?;
        for (function, kind) in [(&version, "restored"), (&latest, "cold")] {
            let event = json!({});
            let call = function.start(Start::Warm, &event);
            let next = tokio::time::timeout(SOON, call).await.context("it hangs")??;
            ensure!(next.kind == kind, "round {round}: {} is {}", function.name, next.kind);
            let said = next.answer.json()?;
            ensure!(said["digest"] == first["digest"] && said["disk"] == first["disk"], "{said}");
        }
        let after: Vec<_> = server.sandboxes(&account).await?.into_iter().map(|s| s.id).collect();
        ensure!(after.len() == 2, "those on the dead server live: {after:?}, {idle:?}");
        ensure!(after.iter().all(|id| !idle.contains(id)), "{after:?}, {idle:?}");
        ensure!(page_server(&server)? != before);
    }
    server.stop().await
}

/// A moment of a build.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The answer to the call is just there.
    Published,
    /// Memory is being put where a guest can be captured.
    Filling,
    /// The function initialises.
    Initialising,
    /// Its snapshot is being stored.
    Storing,
}

/// Says when it begins and when it ends to initialise, and takes its time.
const SLOW: &str = r#"
import os, time, uuid
print("init begins", os.environ["ROUND"], flush=True)
BALLAST = os.urandom(48 * 1024 * 1024)
time.sleep(3)
print("init ends", os.environ["ROUND"], flush=True)
BORN = uuid.uuid4().hex
def handler(event, context): return [os.environ["ROUND"], BORN]
"#;

async fn a_build_survives_kill_9() -> Result<()> {
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions::default();
    let mut all_held: Vec<Leftovers> = Vec::new();
    let mut pending: Option<String> = None;
    let moments = [Moment::Published, Moment::Filling, Moment::Initialising, Moment::Storing];
    for (round, moment) in moments.into_iter().enumerate() {
        let server = Server::start_in(dir.path(), &options).await?;
        let account = server.default_account()?;
        if let Some(cut) = pending.take() {
            resumed(&account, &cut, round - 1)
                .await
                .with_context(|| format!("before {moment:?}"))?;
        }
        let name = format!("slow-{round}");
        let draft = Draft::python(&name, SLOW).memory_mb(256).env("ROUND", &round.to_string());
        let function = draft.snap_start().create(&account).await?;
        if round == 1 {
            // So that from here on no layer is in the way.
            function.call(&json!({})).await?;
        }
        let version = function.publish().await?;
        reached(&server, &function, round, moment).await.with_context(|| format!("{moment:?}"))?;
        let state = function.at(&version).configuration().await?;
        ensure!(state.state() == Some(&State::Pending), "too late at {moment:?}");
        let held = server.kill().await?;
        held.processes_gone().await.with_context(|| format!("{moment:?}"))?;
        all_held.push(held);
        pending = Some(format!("{name}:{version}"));
    }
    let server = Server::start_in(dir.path(), &options).await?;
    let account = server.default_account()?;
    resumed(&account, &pending.context("a version")?, moments.len() - 1).await?;
    // Of each function there is one snapshot: what was cut off is nobody's.
    server.stop().await?;
    let server = Server::start_in(dir.path(), &options).await?;
    let named = files_in(&dir.path().join("objects/snapshots"))?;
    ensure!(named.len() == moments.len(), "{named:?}");
    server.stop().await?;
    for (held, moment) in all_held.iter().zip(moments) {
        held.gone().await.with_context(|| format!("killed at {moment:?}"))?;
    }
    Ok(())
}

/// A version whose build was cut off is built by the next life of its server.
async fn resumed(account: &Account, version: &str, round: usize) -> Result<()> {
    let version = Function { account: account.clone(), name: version.to_owned() };
    let told = version.settled().await?;
    ensure!(told.state() == Some(&State::Active), "{told:?}");
    let one = version.call_started(Start::Restored, &json!({})).await?;
    let two = version.call_started(Start::Restored, &json!({})).await?;
    ensure!(one == two && one[0].as_str() == Some(round.to_string().as_str()), "{one}, {two}");
    Ok(())
}

async fn reached(server: &Server, function: &Function, round: usize, moment: Moment) -> Result<()> {
    let begun = format!("init begins {round}");
    let ended = format!("init ends {round}");
    let logged = async |line: &str| {
        let log = server.logs(&function.account, &function.name).await;
        // What has not written yet has no log.
        log.is_ok_and(|log| log.contains(line))
    };
    let objects = server.data_dir().join("objects/chunks");
    match moment {
        Moment::Published => Ok(()),
        Moment::Filling => {
            glimpsed("memory being filled", || Ok(!server.holdings()?.captured()?.is_empty())).await
        }
        Moment::Initialising => {
            eventually("its init", BUILD, || async { Ok(logged(&begun).await.then_some(())) }).await
        }
        Moment::Storing => {
            eventually("its init's end", BUILD, || async {
                Ok(logged(&ended).await.then_some(()))
            })
            .await?;
            let before = files_in(&objects)?.len();
            glimpsed("chunks", || Ok(files_in(&objects)?.len() > before)).await
        }
    }
}

/// Looks all the time, for what may soon be over.
async fn glimpsed(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = std::time::Instant::now();
    while !look()? {
        ensure!(began.elapsed() < BUILD, "not seen in {BUILD:?}: {what}");
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

async fn a_server_ends_while_a_layer_is_made() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let latest = digests("first").create(&server.default_account()?).await?;
    let first = latest.start(Start::Warm, &json!({})).await?;
    ensure!(first.kind == "booted", "{first:?}");
    // The first of two: another guest is about to be started for the second.
    server.says("stored a guest's memory name=layers/os-", BUILD).await?;
    ensure!(server.said("made a layer") == 0, "too late: {}", server.output());
    server.stop().await
}

/// All files below a directory, in order.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => dirs.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files of the code of a server that has run nothing yet, so has no other.
fn code_in(data_dir: &Path) -> Result<Vec<PathBuf>> {
    let files = ["objects/chunks", "objects/manifests"].map(|kind| files_in(&data_dir.join(kind)));
    let [chunks, manifests] = files;
    Ok([chunks?, manifests?].concat())
}

/// A data directory of a server that has ended, with one version and its snapshot, and
/// what is kept of it.
struct Pristine {
    dir: TempDir,
    copy: TempDir,
    /// The files of the function's code, which there is no longer way around.
    code: Vec<PathBuf>,
    version: String,
    latest: String,
    first: Value,
}

/// What is copied: all that snapshots are kept with.
const KEPT: [&str; 2] = ["objects", "keyring"];

impl Pristine {
    async fn make() -> Result<Self> {
        let dir = TempDir::with_prefix("hearth-e2e-")?;
        let server = Server::start_in(dir.path(), &ServerOptions::default()).await?;
        let account = server.default_account()?;
        let latest = digests("damaged").create(&account).await?;
        let code = code_in(dir.path())?;
        let version = latest.publish_active().await?;
        let mut first = Value::Null;
        // Enough that its working set is known and packed, and that is stored too.
        for _ in 0..3 {
            first = version.call_started(Start::Restored, &json!({})).await?;
        }
        server.says("learnt a working set", SOON).await?;
        server.stop().await?;
        let copy = TempDir::with_prefix("hearth-e2e-")?;
        for kept in KEPT {
            copy_dir(&dir.path().join(kept), &copy.path().join(kept))?;
        }
        Ok(Self { dir, copy, code, version: version.name, latest: latest.name, first })
    }

    /// As it was before.
    fn restore(&self) -> Result<()> {
        for kept in KEPT {
            fs::remove_dir_all(self.dir.path().join(kept))?;
            copy_dir(&self.copy.path().join(kept), &self.dir.path().join(kept))?;
        }
        Ok(())
    }

    /// Some of the files of every kind, spread evenly, and all of the function's code.
    fn samples(&self) -> Result<Vec<PathBuf>> {
        let kinds = [
            ("objects/chunks", 3),
            ("objects/manifests", 2),
            ("objects/snapshots", 1),
            ("objects/layers", 2),
            ("keyring", 4),
        ];
        let mut samples = Vec::new();
        for (kind, count) in kinds {
            let mut files = files_in(&self.dir.path().join(kind))?;
            files.retain(|file| !self.code.contains(file));
            ensure!(!files.is_empty(), "there is nothing in {kind}");
            let step = files.len().div_ceil(count);
            samples.extend(files.into_iter().step_by(step));
        }
        samples.extend(self.code.iter().cloned());
        Ok(samples)
    }

    /// Whether a function can do without a file: not without its code, nor its key.
    fn is_needed(&self, file: &Path) -> bool {
        self.code.iter().any(|code| code == file)
            || file.starts_with(self.dir.path().join("keyring"))
    }

    fn function(&self, account: &Account, name: &str) -> Function {
        Function { account: account.clone(), name: name.to_owned() }
    }

    /// An answer is right or an error; how it was come by.
    async fn asked(&self, server: &Server, function: &Function, how: Start) -> Result<String> {
        let event = json!({});
        let started = function.try_start(how, &event);
        let started = tokio::time::timeout(SOON * 2, started).await.context("it hangs")?;
        let started = match started {
            Ok(started) => started?,
            Err(error) => {
                let text = DisplayErrorContext(&error).to_string();
                let told = error.as_service_error().and_then(|error| error.code());
                return Ok(told.with_context(|| format!("no answer: {text}"))?.to_owned());
            }
        };
        if started.answer.function_error.is_some() {
            let failure = started.answer.failure()?;
            ensure!(failure.error_type == "Sandbox.Failure", "{failure:?}");
            return Ok(format!("{}, then {}", started.kind, failure.error_type));
        }
        let said = started.answer.json()?;
        for same in ["digest", "disk", "name"] {
            ensure!(said[same] == self.first[same], "wrong bytes: {said}, not {}", self.first);
        }
        if started.kind == "restored" && server.said("made a damaged snapshot anew") == 0 {
            ensure!(said["born"] == self.first["born"], "{said}");
        }
        Ok(started.kind)
    }

    /// What was damaged is made good while the server runs: the function and its runtime
    /// are restored again, at the first try, and nothing is said to be damaged any more.
    async fn heals(&self, server: &Server) -> Result<()> {
        let account = server.default_account()?;
        let version = self.function(&account, &self.version);
        let latest = self.function(&account, &self.latest);
        let round = async || {
            let restored = self.asked(server, &version, Start::Restored).await?;
            Ok::<_, anyhow::Error>([restored, self.asked(server, &latest, Start::Cold).await?])
        };
        // Also of what shares the damage without having met it.
        eventually("quick starts, and nothing that is damaged", HEALED, || async {
            let is_quick = round().await? == ["restored", "cold"];
            Ok((is_quick && self.errors(server).await?.is_empty()).then_some(()))
        })
        .await
        .with_context(|| server.output())?;
        let in_vain = server.said(IN_VAIN);
        let came_to = round().await?;
        ensure!(came_to == ["restored", "cold"], "{came_to:?}\n{}", server.output());
        ensure!(server.said(IN_VAIN) == in_vain, "{}", server.output());
        let errors = self.errors(server).await?;
        ensure!(errors.is_empty(), "{errors:?}\n{}", server.output());
        Ok(())
    }

    /// What `hearth snapshots` says is wrong with functions' snapshots.
    async fn errors(&self, server: &Server) -> Result<Vec<String>> {
        let data_dir = server.data_dir().to_str().context("a path of text")?;
        let list = ["snapshots", "--data-dir", data_dir];
        let lines: Vec<Value> = server.client(&server.default_account()?, &list).await?;
        Ok(lines.iter().filter_map(|line| line["error"].as_str()).map(str::to_owned).collect())
    }
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_dir(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// Changes a byte in the middle of a file.
fn damage(file: &Path) -> Result<()> {
    let mut bytes = fs::read(file)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).with_context(|| format!("{} is empty", file.display()))? ^= 0x10;
    Ok(fs::write(file, bytes)?)
}

async fn damage_never_runs() -> Result<()> {
    let pristine = Pristine::make().await?;
    let options = ServerOptions::default();
    let mut wrong = Vec::new();
    for file in pristine.samples()? {
        let name = file.strip_prefix(pristine.dir.path())?.display().to_string();
        damage(&file)?;
        match damaged(&pristine, &options, &file).await {
            Ok(came_to) => println!("{name}: {came_to}"),
            Err(error) => wrong.push(format!("{name}: {error:?}")),
        }
        pristine.restore()?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let server = Server::start_in(pristine.dir.path(), &options).await?;
    let version = pristine.function(&server.default_account()?, &pristine.version);
    let end = pristine.asked(&server, &version, Start::Warm).await?;
    ensure!(end == "restored", "undamaged it is {end}");
    server.stop().await
}

/// Starts a server on what is damaged, and asks for the function a few times.
async fn damaged(pristine: &Pristine, options: &ServerOptions, file: &Path) -> Result<String> {
    let server = match Server::start_in(pristine.dir.path(), options).await {
        Ok(server) => server,
        Err(error) => {
            let told = format!("{error:?}");
            // With a master key that is no more it is right not to start, if it says so.
            ensure!(file.starts_with(pristine.dir.path().join("keyring")), "no start: {told}");
            ensure!(told.contains("key"), "no start: {told}");
            return Ok("no start, which says why".to_owned());
        }
    };
    let account = server.default_account()?;
    let version = pristine.function(&account, &pristine.version);
    let mut came_to = Vec::new();
    for how in [Start::Warm, Start::Restored, Start::Cold] {
        let asked = pristine.asked(&server, &version, how).await;
        came_to.push(asked.with_context(|| server.output())?);
    }
    let latest = pristine.function(&account, &pristine.latest);
    let asked = pristine.asked(&server, &latest, Start::Warm).await;
    came_to.push(asked.with_context(|| server.output())?);
    let unharmed = ["restored", "restored", "cold", "cold"];
    let output = server.output();
    if came_to != unharmed {
        let told = ["corrupt", "damaged", "cannot be", "unsealed"];
        let is_told = |line: &str| {
            (line.contains("WARN") || line.contains("ERROR"))
                && told.iter().any(|t| line.contains(t))
        };
        ensure!(output.lines().any(is_told), "{came_to:?}, and not a word of why:\n{output}");
    }
    // There is always a longer way, unless it is the code: a boot needs no more.
    let ways = ["warm", "restored", "cold", "booted"];
    // But for a page that no start touches: the first event that does fails with its clone.
    let cut = came_to.iter().filter(|how| !ways.contains(&how.as_str())).collect::<Vec<_>>();
    let is_told = cut.iter().all(|how| how.ends_with(", then Sandbox.Failure"));
    ensure!((cut.len() <= 1 && is_told) || pristine.is_needed(file), "{came_to:?}\n{output}");
    // Without its key nothing is sealed, so nothing can be made anew.
    let is_object = file.starts_with(pristine.dir.path().join("objects"));
    if is_object && !pristine.is_needed(file) {
        pristine.heals(&server).await?;
    }
    server.stop().await?;
    Ok(came_to.join("; "))
}

async fn damage_is_survived_without_a_restart() -> Result<()> {
    let pristine = Pristine::make().await?;
    let server = Server::start_in(pristine.dir.path(), &ServerOptions::default()).await?;
    let version = pristine.function(&server.default_account()?, &pristine.version);
    let objects = pristine.dir.path().join("objects");
    for file in files_in(&objects.join("chunks"))? {
        if !pristine.is_needed(&file) {
            damage(&file)?;
        }
    }
    let came_to = pristine.asked(&server, &version, Start::Restored).await;
    let came_to = came_to.with_context(|| server.output())?;
    // None of its memory is there, and none was read before.
    ensure!(["cold", "booted"].contains(&came_to.as_str()), "{came_to}\n{}", server.output());
    ensure!(server.said("corrupt") > 0, "not a word: {}", server.output());
    pristine.heals(&server).await?;
    for told in ["a layer is damaged", "a function's snapshot is damaged", "made a layer"] {
        ensure!(server.said(told) > 0, "not a word of: {told}\n{}", server.output());
    }
    server.stop().await
}

async fn damaged_code_is_refused() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let latest = digests("code").create(&server.default_account()?).await?;
    let code = code_in(server.data_dir())?;
    for kind in ["chunks", "manifests"] {
        let folder = server.data_dir().join("objects").join(kind);
        let files: Vec<_> = code.iter().filter(|file| file.starts_with(&folder)).collect();
        ensure!(files.len() >= 2, "{kind} of its zip and its image: {code:?}");
        let whole = files.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
        files.iter().try_for_each(|file| damage(file))?;
        let said_before = server.said("corrupt");
        match latest.try_start(Start::Cold, &json!({})).await {
            Ok(started) => bail!("with damaged {kind} it ran: {:?}", started?),
            Err(error) => {
                let told = error.as_service_error().and_then(|error| error.code());
                ensure!(told == Some("ServiceException"), "{told:?}: {error:?}");
            }
        }
        ensure!(server.said("corrupt") > said_before, "not a word: {}", server.output());
        for (file, whole) in files.iter().zip(whole) {
            fs::write(file, whole)?;
        }
        let healed = latest.start(Start::Cold, &json!({})).await?.answer.json()?;
        ensure!(healed["digest"].is_string(), "{healed}");
    }
    server.stop().await
}

async fn lost_snapshots_are_done_without() -> Result<()> {
    let pristine = Pristine::make().await?;
    let objects = pristine.dir.path().join("objects");
    for lost in ["manifests", "chunks", "snapshots"] {
        let server = Server::start_in(pristine.dir.path(), &ServerOptions::default()).await?;
        let version = pristine.function(&server.default_account()?, &pristine.version);
        let aside = objects.with_file_name("aside");
        fs::rename(objects.join(lost), &aside)?;
        for code in pristine.code.iter().filter(|file| file.starts_with(objects.join(lost))) {
            fs::create_dir_all(code.parent().context("a folder")?)?;
            fs::copy(aside.join(code.strip_prefix(objects.join(lost))?), code)?;
        }
        let came_to = pristine
            .asked(&server, &version, Start::Warm)
            .await
            .with_context(|| format!("without {lost}: {}", server.output()))?;
        ensure!(["cold", "booted"].contains(&came_to.as_str()), "without {lost}: {came_to}");
        println!("without {lost}: {came_to}");
        pristine.heals(&server).await.with_context(|| format!("without {lost}"))?;
        server.stop().await?;
        fs::remove_dir_all(&aside)?;
        pristine.restore()?;
    }
    Ok(())
}

async fn a_strangers_snapshot() -> Result<()> {
    let dir = TempDir::with_prefix("hearth-e2e-")?;
    let options = ServerOptions::default();
    let server = Server::start_in(dir.path(), &options).await?;
    let (owner, thief) = (server.default_account()?, server.new_account("thief").await?);
    let owners = digests("owners").create(&owner).await?.publish_active().await?;
    let thiefs = digests("thiefs").create(&thief).await?.publish_active().await?;
    let theirs = thiefs.call_started(Start::Restored, &json!({})).await?;
    let _owners = owners.call_started(Start::Restored, &json!({})).await?;
    let (arn_owner, arn_thief) = (owners.configuration().await?, thiefs.configuration().await?);
    server.stop().await?;

    // Whoever could write to the store puts one account's snapshot under another's name.
    let account = |arn: Option<&str>| {
        arn.and_then(|arn| arn.split(':').nth(4)).map(str::to_owned).context("an account")
    };
    let names = dir.path().join("objects/snapshots");
    let from = files_in(&names.join(account(arn_owner.function_arn())?))?;
    let to = files_in(&names.join(account(arn_thief.function_arn())?))?;
    ensure!(from.len() == 1 && to.len() == 1, "{from:?}, {to:?}");
    fs::copy(&from[0], &to[0])?;

    let server = Server::start_in(dir.path(), &options).await?;
    let thief = Account::new(
        &server.endpoint,
        thief.credentials.access_key_id(),
        thief.credentials.secret_access_key(),
    );
    let thiefs = Function { account: thief, name: thiefs.name };
    let started = thiefs.start(Start::Warm, &json!({})).await?;
    if started.kind == "restored" {
        bail!("another account's snapshot was restored: {started:?}");
    }
    let said = started.answer.json()?;
    ensure!(said["name"] == "thiefs" && said["born"] != theirs["born"], "{said}");
    ensure!(server.said("a function's snapshot cannot be used") > 0, "{}", server.output());
    server.stop().await
}
