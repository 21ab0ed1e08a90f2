//! What snapshots and code are made of is damaged or lost: a start takes a longer way, or
//! says what is wrong; wrong bytes never run, and what can be is made good.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_lambda::error::{DisplayErrorContext, ProvideErrorMetadata};
use hearth_e2e::{
    Account, Case, Function, Server, ServerOptions, Start, copy_dir, digests, eventually, files_in,
    run,
};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;

/// Longest that a state may take to come about.
const SOON: Duration = Duration::from_secs(30);
/// Longest that damage may take to be made good: layers and the function, one after the
/// other, on a host that has other things to do.
const HEALED: Duration = Duration::from_secs(120);
/// What is said of a start that a snapshot was tried for in vain.
const IN_VAIN: &str = "cannot be used; starting without it";

fn main() -> ExitCode {
    let cases = vec![
        Case::new("damage_never_runs", damage_never_runs).long(),
        Case::new("damage_is_survived_without_a_restart", damage_is_survived_without_a_restart),
        Case::new("damaged_code_is_refused_and_healed_code_runs", damaged_code_is_refused),
        Case::new("lost_snapshots_are_done_without", lost_snapshots_are_done_without).long(),
    ];
    run(1, cases)
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
