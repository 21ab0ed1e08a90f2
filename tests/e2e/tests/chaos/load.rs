//! Clients that call whatever happens, as SDKs do by default, and one that changes the
//! function and remembers what was acknowledged.

use aws_sdk_lambda::error::DisplayErrorContext;
use hearth_e2e::{Account, Function};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Between two calls of one client.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two changes.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) served: u64,
    pub(crate) failed: Vec<String>,
    /// The last change that was acknowledged, and the last that was tried.
    pub(crate) acknowledged: u64,
    pub(crate) attempted: u64,
}

/// Clients that run.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    clients: JoinSet<Done>,
}

impl Load {
    /// Starts a client at each front end. When one does not answer, its client goes to the
    /// next, as a balancer would have it.
    pub(crate) fn start(fronts: Vec<Account>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for at in 0..fronts.len() {
            let (fronts, over) = (fronts.clone(), Arc::clone(&over));
            clients.spawn(call(fronts, at, over));
        }
        clients.spawn(change(fronts, Arc::clone(&over)));
        Self { over, clients }
    }

    /// Ends them, and sums up.
    pub(crate) async fn stop(mut self) -> Done {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        while let Some(done) = self.clients.join_next().await {
            let done = done.expect("a client does not panic");
            all.served += done.served;
            all.failed.extend(done.failed);
            all.acknowledged = all.acknowledged.max(done.acknowledged);
            all.attempted = all.attempted.max(done.attempted);
        }
        all
    }
}

async fn call(fronts: Vec<Account>, mut at: usize, over: Arc<AtomicBool>) -> Done {
    let functions: Vec<Function> = fronts.iter().map(|front| usual(front, "called")).collect();
    let mut done = Done::default();
    let mut number = 0_u64;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let event = json!({ "client": at, "number": number });
        let mut tries = 0;
        loop {
            tries += 1;
            match functions[at % functions.len()].call(&event).await {
                Ok(answer) => {
                    assert_eq!(answer, event, "another's answer");
                    done.served += 1;
                    break;
                }
                Err(why) if tries == functions.len() => {
                    done.failed.push(format!("{why:#}").chars().take(300).collect());
                    break;
                }
                Err(_) => at += 1,
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    done
}

async fn change(fronts: Vec<Account>, over: Arc<AtomicBool>) -> Done {
    let functions: Vec<Function> = fronts.iter().map(|front| usual(front, "changed")).collect();
    let mut done = Done::default();
    while !over.load(Ordering::Relaxed) {
        done.attempted += 1;
        let function = &functions[done.attempted as usize % functions.len()];
        let request = function.account.client.update_function_configuration();
        let description = done.attempted.to_string();
        match request.function_name("changed").description(description).send().await {
            Ok(_) => done.acknowledged = done.attempted,
            Err(error) => {
                let why = DisplayErrorContext(&error).to_string();
                println!("not acknowledged: {}", why.lines().next().unwrap_or_default());
            }
        }
        tokio::time::sleep(CHANGE_PAUSE).await;
    }
    done
}

fn usual(account: &Account, name: &str) -> Function {
    Function { account: account.as_usual(), name: name.to_owned() }
}
