//! `hearth up`: every role in one process, assembled here and nowhere else.
//!
//! ```text
//! start   lock data dir ─► stores ─► VM driver (clears a crash away) ─► roles ─► listen
//! stop    no new requests ─► running ones end (bounded) ─► sandboxes die ─► driver cleans up
//! ```

mod args;
mod credentials;
mod data_dir;
mod host;
mod housekeeping;
mod metrics;
mod objects;
mod pages;
mod roles;
mod signals;
mod stores;
mod worker;

pub(crate) use args::{HostArgs, UpArgs, seconds};
pub(crate) use data_dir::DataDir;
pub(crate) use host::{connections_max, raise_descriptor_limit, share_memory};
pub(crate) use metrics::MetricsServer;
pub(crate) use objects::ObjectsPlace;
pub(crate) use pages::{Page, Pages};
pub(crate) use roles::prune_forever;
pub(crate) use signals::cancel_on_signal;
pub(crate) use stores::open as open_stores;
pub(crate) use worker::{Images, OpenWorker};

use crate::operator::OperatorSocket;
use anyhow::Context;
use hearth_tasks::{spawn, spawn_vital};
use roles::Roles;
use std::io::Write;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until SIGTERM or SIGINT, or until a part fails that nothing works without.
pub(crate) async fn run(args: UpArgs) -> anyhow::Result<()> {
    init_logging();
    host::raise_descriptor_limit()?;
    let data = DataDir::open(&args.data_dir)?;
    // Before the slow parts: a taken port should be told at once.
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;

    // Before there is anything to clean up: a signal during the start counts
    // once the start is complete.
    let stop = CancellationToken::new();
    let signals = spawn_vital("signals", stop.clone(), signals::cancel_on_signal(stop.clone())?);

    // Before the roles, which record from their first step on.
    let metrics = match args.metrics_listen {
        Some(address) => Some(MetricsServer::start(address).await?),
        None => None,
    };
    let roles = Roles::start(&args, &data).await?;
    let operator = OperatorSocket::bind(data.root())?;

    let operator = spawn("operator", operator.serve(roles.desk(), stop.child_token()));

    let metrics =
        metrics.map(|server| spawn("metrics", server.serve(roles.observer(), stop.child_token())));

    announce(address)?;
    let served = roles.serve(listener, stop.clone()).await;
    stop.cancel();
    operator.await.context("the operator's socket failed")?;
    if let Some(metrics) = metrics {
        metrics.await.context("serving metrics failed")?;
    }
    signals.abort();
    tracing::info!("stopped");
    served
}

/// The one line on stdout that programs wait for.
pub(crate) fn announce(address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()
}

/// Logs go to stderr; `HEARTH_LOG` filters them, `info` by default.
pub(crate) fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HEARTH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
