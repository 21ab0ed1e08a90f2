//! Clients that call whatever happens, as SDKs do by default, and one that changes a
//! function and remembers what was acknowledged.

use crate::{Account, Draft, Function, eventually};
use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Between two calls of one client.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two changes.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);
/// A front end that takes longer is given up, as one is that cannot be reached: longer than
/// calls wait for a leader.
const CALL_MAX: Duration = Duration::from_secs(25);
/// Until the first calls are: guests boot, and layers are made.
const FIRST_MAX: Duration = Duration::from_secs(60);
/// What is called, and what is changed.
const CALLED: [&str; 2] = ["called", "called-too"];
const CHANGED: &str = "changed";

/// Says which sandbox ran the event, as which of its events, and from when to when.
const SOURCE: &str = r#"
import itertools, time
serial = itertools.count(1)
def handler(event, context):
    began = time.monotonic_ns()
    time.sleep(event.get("ms", 0) / 1000)
    return {"event": event, "function": context.function_name,
            "sandbox": context.log_stream_name, "serial": next(serial),
            "began": began, "ended": time.monotonic_ns()}
"#;

/// One event's run, as the function tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Ran {
    event: Value,
    function: String,
    sandbox: String,
    serial: u64,
    began: u64,
    ended: u64,
}

/// What came of it.
#[derive(Clone, Default)]
pub struct Done {
    /// Calls that were.
    pub served: u64,
    /// Why calls failed, though they were tried again.
    pub failed: Vec<String>,
    /// The last change that was acknowledged.
    pub acknowledged: u64,
    /// The last that was tried.
    pub attempted: u64,
    /// Those that were not: each may have been carried out, even after later ones, or not.
    pub undecided: BTreeSet<u64>,
    /// Every event that was answered.
    pub ran: Vec<Ran>,
}

impl Done {
    /// Checks that no sandbox ran two events at a time, or two functions.
    pub fn alone(&self) -> Result<()> {
        let mut of: BTreeMap<&str, Vec<&Ran>> = BTreeMap::new();
        for ran in &self.ran {
            of.entry(&ran.sandbox).or_default().push(ran);
        }
        for runs in of.values_mut() {
            runs.sort_by_key(|ran| ran.serial);
            for pair in runs.windows(2) {
                let [one, next] = [pair[0], pair[1]];
                ensure!(one.function == next.function, "two functions: {one:?} and {next:?}");
                ensure!(one.serial != next.serial, "one event, two answers: {one:?}, {next:?}");
                ensure!(one.ended <= next.began, "two at a time: {one:?} and {next:?}");
            }
        }
        Ok(())
    }

    /// The ids of all sandboxes that there were, without their hyphens.
    pub fn sandboxes(&self) -> BTreeSet<&str> {
        // `YYYY/MM/DD/[VERSION]ID`.
        let streams = self.ran.iter().filter_map(|ran| ran.sandbox.rsplit_once(']'));
        streams.map(|(_, id)| id).collect()
    }
}

/// Clients that run.
pub struct Load {
    fronts: Vec<Account>,
    over: Arc<AtomicBool>,
    done: Arc<Mutex<Done>>,
    clients: JoinSet<()>,
}

impl Load {
    /// Makes the functions, and starts a client at each front end. When one does not answer,
    /// its client goes to the next, as a balancer would have it.
    pub async fn start(fronts: Vec<Account>) -> Result<Self> {
        for name in CALLED.into_iter().chain([CHANGED]) {
            Draft::python(name, SOURCE).create(&fronts[0]).await?;
        }
        let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Done>>::default());
        let mut load = Self { fronts, over, done, clients: JoinSet::new() };
        for front in &load.fronts {
            load.serves(front, FIRST_MAX).await?;
        }
        for at in 0..load.fronts.len() {
            let client = Client { at, ..load.client() };
            load.clients.spawn(client.call());
        }
        let client = load.client();
        load.clients.spawn(client.change());
        Ok(load)
    }

    fn client(&self) -> Client {
        let fronts = self.fronts.iter().map(Account::as_usual).collect();
        Client { fronts, at: 0, over: Arc::clone(&self.over), done: Arc::clone(&self.done) }
    }

    /// What has come of it so far.
    pub fn so_far(&self) -> Done {
        lock(&self.done).clone()
    }

    /// Waits until a front end serves each function, without a second try of the SDK's.
    pub async fn serves(&self, front: &Account, within: Duration) -> Result<()> {
        for name in CALLED {
            let function = Function { account: front.clone(), name: name.to_owned() };
            eventually(&format!("{} serves {name}", front.endpoint), within, || async {
                let called = timeout(CALL_MAX, function.call(&json!({}))).await;
                Ok(called.is_ok_and(|answer| answer.is_ok()).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until a front end shows what was acknowledged by now.
    pub async fn shows(&self, front: &Account, within: Duration) -> Result<()> {
        let Done { acknowledged, undecided, .. } = self.so_far();
        let what = format!("{} shows change {acknowledged}", front.endpoint);
        eventually(&what, within, || async {
            let asked = front.client.get_function_configuration().function_name(CHANGED);
            let Ok(said) = asked.send().await else { return Ok(None) };
            let last: u64 = said.description().unwrap_or_default().parse().unwrap_or(0);
            Ok((last >= acknowledged || undecided.contains(&last)).then_some(()))
        })
        .await
    }

    /// Ends them, and sums up.
    pub async fn stop(mut self) -> Done {
        self.over.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.expect("a client does not panic");
        }
        self.so_far()
    }
}

struct Client {
    fronts: Vec<Account>,
    /// The front end that is asked first.
    at: usize,
    over: Arc<AtomicBool>,
    done: Arc<Mutex<Done>>,
}

impl Client {
    async fn call(mut self) {
        let (client, name) = (self.at, CALLED[self.at % CALLED.len()]);
        let mut number = 0_u64;
        while !self.over.load(Ordering::Relaxed) {
            number += 1;
            let event = json!({ "client": client, "number": number, "ms": number % 3 * 50 });
            let mut why = String::new();
            for _ in 0..self.fronts.len() {
                match self.once(name, &event).await {
                    Ok(ran) => {
                        assert_eq!((&ran.event, &*ran.function), (&event, name), "another's");
                        let mut done = lock(&self.done);
                        done.served += 1;
                        done.ran.push(ran);
                        why.clear();
                        break;
                    }
                    Err(error) => {
                        why = format!("{error:#}").chars().take(300).collect();
                        self.at = (self.at + 1) % self.fronts.len();
                    }
                }
            }
            if !why.is_empty() {
                lock(&self.done).failed.push(why);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once(&self, name: &str, event: &Value) -> Result<Ran> {
        let account = self.fronts[self.at].clone();
        let function = Function { account, name: name.to_owned() };
        Ok(serde_json::from_value(timeout(CALL_MAX, function.call(event)).await??)?)
    }

    async fn change(self) {
        while !self.over.load(Ordering::Relaxed) {
            let number = {
                let mut done = lock(&self.done);
                done.attempted += 1;
                done.attempted
            };
            let front = &self.fronts[number as usize % self.fronts.len()];
            let request = front.client.update_function_configuration().function_name(CHANGED);
            let sent = timeout(CALL_MAX, request.description(number.to_string()).send()).await;
            match sent {
                Ok(Ok(_)) => lock(&self.done).acknowledged = number,
                _ => _ = lock(&self.done).undecided.insert(number),
            }
            tokio::time::sleep(CHANGE_PAUSE).await;
        }
    }
}

fn lock(done: &Mutex<Done>) -> std::sync::MutexGuard<'_, Done> {
    done.lock().unwrap_or_else(PoisonError::into_inner)
}
