//! A function that minds its own business beside hostile ones.

use crate::{Account, Draft, Function, refused};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long between two calls; an emulated guest is slow, and a busy loop would
/// be the noisiest neighbour of all.
const PAUSE: Duration = Duration::from_millis(20);
/// Fewest calls that prove anything.
const CALLS_MIN: usize = 10;
/// Half of its calls must be faster. A warm call takes a millisecond or two; the
/// rest is room for an emulated guest on a loaded machine.
const P50_MAX: Duration = Duration::from_millis(250);
/// All of its calls must be faster.
const MAX: Duration = Duration::from_secs(5);

const NAME: &str = "neighbour";
const SOURCE: &str = "def handler(event, context): return event['n'] + 1\n";

/// The function while it is being called.
pub struct Neighbour {
    stop: oneshot::Sender<()>,
    calls: JoinHandle<Result<Vec<Duration>>>,
}

impl Neighbour {
    /// Warms the account's neighbour up, and calls it again and again. All of an
    /// account's are one function, so that it is seldom cold.
    pub async fn move_in(account: &Account) -> Result<Self> {
        let made = Draft::python(NAME, SOURCE).request(account).send().await;
        if made.is_err() {
            refused("ResourceConflictException", 409, made)?;
        }
        let function = Function { account: account.clone(), name: NAME.into() };
        function.wait_active().await?;
        function.call(&json!({"n": 0})).await?;
        let (stop, mut stopped) = oneshot::channel();
        let calls = tokio::spawn(async move {
            let mut took = Vec::new();
            while stopped.try_recv().is_err() && !stopped.is_terminated() {
                took.push(call(&function, took.len()).await?);
                tokio::time::sleep(PAUSE).await;
            }
            Ok(took)
        });
        Ok(Self { stop, calls })
    }

    /// Stops calling and checks that no call noticed anything.
    pub async fn noticed_nothing(self) -> Result<()> {
        let _task_may_have_failed = self.stop.send(());
        let mut took = self.calls.await?.context("the neighbour noticed")?;
        took.sort();
        let (p50, max) = (took[took.len() / 2], took[took.len() - 1]);
        println!("neighbour: {} calls, p50 {p50:?}, max {max:?}", took.len());
        ensure!(took.len() >= CALLS_MIN, "only {} calls", took.len());
        ensure!(p50 < P50_MAX && max < MAX, "the neighbour noticed: p50 {p50:?}, max {max:?}");
        Ok(())
    }
}

async fn call(function: &Function, n: usize) -> Result<Duration> {
    let began = Instant::now();
    let answer = function.call(&json!({ "n": n })).await?;
    ensure!(answer == json!(n + 1), "the neighbour got {answer}");
    Ok(began.elapsed())
}
