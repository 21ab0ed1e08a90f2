//! A process that is killed while it writes has kept every write that it
//! acknowledged. Runs itself as that process.
//!
//! What SIGKILL cannot show (a machine that loses power) is simulated in the
//! engine's own tests.

use anyhow::{Context, Result, ensure};
use hearth_metastore::RedbStore;
use hearth_services::metastore::{MetaStore, Txn, TxnOutcome};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const ROUNDS: usize = 20;
/// Acknowledgements after which the child is killed, at most.
const ACKNOWLEDGED_MAX: usize = 60;
/// Writers in the child, so that groups form.
const WRITERS: u32 = 4;
const CHILD: &str = "--child";

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next(), args.next()) {
        (Some(CHILD), Some(path), Some(round)) => child(Path::new(&path), &round),
        // What `cargo test -- --list` and its kin pass is of no concern here.
        _ => parent(),
    }
}

fn parent() -> Result<()> {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("meta.redb");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe()?)
            .args([CHILD.as_ref(), path.as_os_str(), round.to_string().as_ref()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        for line in lines.by_ref().take(rng.random_range(1..ACKNOWLEDGED_MAX)) {
            acknowledged.push(line?);
        }
        child.kill()?;
        // What it acknowledged before it died counts too; a torn line does not.
        acknowledged.extend(lines.map_while(Result::ok).filter(|line| line.ends_with('.')));
        child.wait()?;
        check(&path, &acknowledged).with_context(|| format!("round {round}"))?;
    }
    println!("{ROUNDS} kills, {} acknowledged writes, none lost", acknowledged.len());
    Ok(())
}

fn check(path: &Path, acknowledged: &[String]) -> Result<()> {
    let store = RedbStore::open(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        for key in acknowledged {
            let pair = [store.get(key).await?, store.get(&format!("{key}/pair")).await?];
            ensure!(pair.iter().all(Option::is_some), "{key} was acknowledged and is gone");
        }
        // Unacknowledged transactions may be there, but never by half.
        let (entries, _) = store.list("", None, 10_000).await?;
        ensure!(entries.len() % 2 == 0, "half a transaction");
        Ok(())
    })
}

fn child(path: &Path, round: &str) -> Result<()> {
    let store = RedbStore::open(path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(async {
        let write = |writer: u32| {
            let store = &store;
            async move {
                for i in 0u64.. {
                    let key = format!("{round}/{writer}/{i}.");
                    let txn = Txn::new().put(&key, "1").put(format!("{key}/pair"), "2");
                    let outcome = store.transact(txn).await?;
                    ensure!(matches!(outcome, TxnOutcome::Committed(_)));
                    let mut out = std::io::stdout().lock();
                    out.write_all(format!("{key}\n").as_bytes())?;
                    out.flush()?;
                }
                Ok(())
            }
        };
        let [a, b, c, d]: [_; WRITERS as usize] = std::array::from_fn(|i| write(i as u32));
        tokio::try_join!(a, b, c, d).map(|_| ())
    })
}
