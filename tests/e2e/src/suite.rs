//! Runs the cases of a test binary, a few at a time, like the standard harness,
//! and ends the server that they share.

use crate::{Server, ServerOptions};
use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// Longest that a case may take; one that hangs fails.
const CASE_MAX: Duration = Duration::from_secs(300);
/// The same of one that is known to take minutes, on an emulator.
const LONG_CASE_MAX: Duration = Duration::from_secs(1200);

type Run<C> = Box<dyn FnOnce(C) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

/// A test that starts what servers it needs.
pub struct Case {
    name: &'static str,
    run: Run<()>,
    /// Run only when it is asked for: it takes minutes.
    long: bool,
}

/// A test on the server that all cases of its binary share.
pub struct ServerCase {
    name: &'static str,
    run: Run<Arc<Server>>,
    /// Run only when it is asked for: it takes minutes.
    long: bool,
}

impl Case {
    /// The test `name`.
    pub fn new<Fut>(name: &'static str, run: fn() -> Fut) -> Self
    where
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Self { name, run: Box::new(move |()| Box::pin(run())), long: false }
    }

    /// Has it run with `--ignored` only.
    pub fn long(self) -> Self {
        Self { long: true, ..self }
    }

    /// The same, if it is long today.
    pub fn long_if(self, long: bool) -> Self {
        Self { long, ..self }
    }
}

impl ServerCase {
    /// The test `name`.
    pub fn new<Fut>(name: &'static str, run: fn(Arc<Server>) -> Fut) -> Self
    where
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Self { name, run: Box::new(move |server| Box::pin(run(server))), long: false }
    }

    /// Has it run with `--ignored` only.
    pub fn long(self) -> Self {
        Self { long: true, ..self }
    }
}

/// Runs `cases`, `parallel` at a time.
pub fn run(parallel: usize, cases: Vec<Case>) -> ExitCode {
    let runtime = runtime();
    run_trials(&runtime, parallel, cases).exit_code()
}

/// Runs `cases` on one server, `parallel` at a time, and then checks that the
/// server ends well and leaves nothing on the host.
pub fn run_on(options: ServerOptions, parallel: usize, cases: Vec<ServerCase>) -> ExitCode {
    let runtime = runtime();
    let shared: Arc<OnceCell<Arc<Server>>> = Arc::default();
    let cases = cases.into_iter().map(|case| on_shared(&shared, &options, case)).collect();
    let conclusion = run_trials(&runtime, parallel, cases);

    // Listing and filtering may mean that no case ran.
    let server = Arc::into_inner(shared).and_then(OnceCell::into_inner);
    let Some(server) = server else { return conclusion.exit_code() };
    if conclusion.has_failed() {
        eprintln!("---- the server's last lines ----\n{}", server.output());
    }
    let stopped = match Arc::into_inner(server) {
        Some(server) => runtime.block_on(server.stop()),
        None => Err(anyhow::anyhow!("a case that timed out still holds the server")),
    };
    match stopped {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("the server did not end well: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn on_shared(
    shared: &Arc<OnceCell<Arc<Server>>>,
    options: &ServerOptions,
    case: ServerCase,
) -> Case {
    let (shared, options) = (Arc::clone(shared), options.clone());
    let run = case.run;
    let run: Run<()> = Box::new(move |()| {
        Box::pin(async move {
            let start = || async { Server::start(&options).await.map(Arc::new) };
            let server = Arc::clone(shared.get_or_try_init(start).await?);
            run(server).await
        })
    });
    Case { name: case.name, run, long: case.long }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

fn run_trials(runtime: &Runtime, parallel: usize, cases: Vec<Case>) -> Conclusion {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(parallel);
    let trials = cases
        .into_iter()
        .map(|case| {
            let handle = runtime.handle().clone();
            let long = case.long;
            Trial::test(case.name, move || {
                let result = handle.block_on(async {
                    let longest = if long { LONG_CASE_MAX } else { CASE_MAX };
                    let run = tokio::time::timeout(longest, (case.run)(()));
                    run.await.context("the case hangs")?
                });
                result.map_err(|error| Failed::from(format!("{error:?}")))
            })
            .with_ignored_flag(long)
        })
        .collect();
    libtest_mimic::run(&arguments, trials)
}
