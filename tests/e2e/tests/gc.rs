//! `hearth gc` on a running server: what a deleted function had is given back, and what
//! anybody still needs stays, be it a clone of a snapshot that is gone by name.

use anyhow::{Context, Result, ensure};
use hearth_e2e::{
    Account, Case, Draft, Function, Server, ServerOptions, Start, bytes_in, eventually, run,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// Longest that a state may take to come about.
const SOON: Duration = Duration::from_secs(30);
/// Random bytes in a function's memory: nothing that it shares with another.
const BALLAST_BYTES: u64 = 48 << 20;

fn main() -> ExitCode {
    let cases = vec![
        Case::new("a_deleted_functions_space_is_given_back", a_deleted_functions_space),
        Case::new("a_clone_outlives_its_snapshot", a_clone_outlives_its_snapshot),
    ];
    run(1, cases)
}

/// Reads the memory that it filled while initialising, bit by bit if it is told to.
const READS: &str = r#"
import hashlib, os, time
BLOCK = 1 << 20
BALLAST = [os.urandom(BLOCK) for _ in range(48)]
WANTED = [hashlib.sha256(block).hexdigest() for block in BALLAST]
def handler(event, context):
    print("begins", flush=True)
    for block, wanted in zip(BALLAST, WANTED):
        if hashlib.sha256(block).hexdigest() != wanted:
            return "wrong bytes"
        time.sleep(event.get("pause", 0))
    return WANTED[0]
"#;

fn reads(name: &str) -> Draft {
    Draft::python(name, READS).memory_mb(256).timeout_s(120).snap_start()
}

/// What `hearth gc` prints.
#[derive(Debug, Deserialize)]
struct Collection {
    files_deleted: u64,
    chunks_deleted: u64,
    bytes_deleted: u64,
}

/// Collects twice, with no grace: what was needed the last time goes the next.
async fn collect(server: &Server, account: &Account) -> Result<[Collection; 2]> {
    let data_dir = server.data_dir().to_str().context("a path of text")?;
    let gc = ["gc", "--grace", "0", "--data-dir", data_dir];
    Ok([server.client(account, &gc).await?, server.client(account, &gc).await?])
}

/// Bytes of all chunks on disk.
fn chunk_bytes(server: &Server) -> Result<u64> {
    bytes_in(&server.data_dir().join("objects/chunks"))
}

async fn delete(function: &Function) -> Result<()> {
    let name = function.name.split(':').next().context("a name")?;
    function.account.client.delete_function().function_name(name).send().await?;
    Ok(())
}

async fn whole(server: &Server, account: &Account) -> Result<()> {
    let data_dir = server.data_dir().to_str().context("a path of text")?;
    let verify = ["snapshots", "verify", "--data-dir", data_dir];
    let _verified: Value = server.client(account, &verify).await?;
    Ok(())
}

async fn a_deleted_functions_space() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let account = server.default_account()?;
    let stays = reads("stays").create(&account).await?.publish_active().await?;
    let first = stays.call_started(Start::Restored, &json!({})).await?;
    server.says("learnt a working set", SOON).await?;
    let goes = reads("goes").create(&account).await?.publish_active().await?;
    let theirs = goes.call_started(Start::Restored, &json!({})).await?;
    ensure!(first != theirs && theirs != "wrong bytes", "{first}, {theirs}");

    // With both there is nothing to be had, however often it is asked for.
    collect(&server, &account).await?;
    let before = chunk_bytes(&server)?;
    let nothing = collect(&server, &account).await?;
    ensure!(nothing.iter().all(|done| done.chunks_deleted == 0), "{nothing:?}");
    whole(&server, &account).await?;

    delete(&goes).await?;
    // Its sandboxes end on their own time, and have it open until then.
    let gone = eventually("the end of its sandboxes", SOON, || async {
        let [one, two] = collect(&server, &account).await?;
        Ok([one, two].into_iter().find(|done| done.bytes_deleted >= BALLAST_BYTES))
    });
    let gone = gone.await.with_context(|| server.output())?;
    ensure!(gone.files_deleted >= 3 && gone.chunks_deleted >= BALLAST_BYTES >> 19, "{gone:?}");
    let after = chunk_bytes(&server)?;
    ensure!(before - after >= BALLAST_BYTES, "{before} bytes, then {after}");
    println!("{} MiB of chunks, then {} MiB", before >> 20, after >> 20);

    // What is left is whole, and serves.
    whole(&server, &account).await?;
    ensure!(stays.call_started(Start::Restored, &json!({})).await? == first);
    stays.call_started(Start::Cold, &json!({})).await?;
    // The same function is no other for having been there before.
    let again = reads("goes").create(&account).await?.publish_active().await?;
    ensure!(again.call_started(Start::Restored, &json!({})).await? != theirs);
    server.stop().await
}

async fn a_clone_outlives_its_snapshot() -> Result<()> {
    let server = Server::start(&ServerOptions::default()).await?;
    let account = server.default_account()?;
    let goes = reads("goes").create(&account).await?.publish_active().await?;
    // The first clone: nothing of its memory is fetched ahead, as nobody knows what is
    // touched. It takes its pages one after the other, for longer than all of this.
    let running = tokio::spawn({
        let goes = goes.clone();
        async move { goes.start(Start::Restored, &json!({"pause": 0.5})).await }
    });
    eventually("its handler's begin", SOON, || async {
        // What has not written yet has no log.
        let log = account.logs("goes").await.unwrap_or_default();
        Ok(log.contains("begins").then_some(()))
    })
    .await?;
    delete(&goes).await?;
    let before = chunk_bytes(&server)?;
    for _ in 0..3 {
        collect(&server, &account).await?;
    }
    let data_dir = server.data_dir().to_str().context("a path of text")?;
    let list = ["snapshots", "--data-dir", data_dir];
    let named: Vec<Value> = server.client(&account, &list).await?;
    ensure!(named.is_empty(), "its name is there: {named:?}");
    ensure!(!running.is_finished(), "the clone was too quick for this test");
    let held = chunk_bytes(&server)?;
    ensure!(before - held < BALLAST_BYTES / 2, "{before} bytes, then {held}, and it is used");
    let started = running.await??;
    ensure!(started.kind == "restored", "{started:?}");
    let said = started.answer.json()?;
    ensure!(said.as_str().is_some_and(|text| text.len() == 64), "{said}\n{}", server.output());

    // When its last clone is gone, so is it.
    eventually("its end", SOON, || async {
        collect(&server, &account).await?;
        Ok((held - chunk_bytes(&server)? >= BALLAST_BYTES).then_some(()))
    })
    .await?;
    whole(&server, &account).await?;
    server.stop().await
}
