//! `hearth node`: some of the roles in a process of a cluster, which is etcd, an object
//! store and such processes.
//!
//! ```text
//! start   lock data dir ─► stores ─► worker ─► join ─► serve other nodes ─► roles ─► listen
//! stop    partitions go to others, nothing new comes ─► running calls end (bounded)
//!         ─► leave the cluster ─► sandboxes die ─► nobody is served any more
//! ```

mod assembly;
mod capacity;
mod cluster;
mod config;
mod control;
mod garbage;
mod health;
mod keeper;
mod status;

pub(crate) use config::NodeArgs;
pub(crate) use status::{StatusArgs, run as status};

use crate::operator::OperatorSocket;
use crate::up::{
    DataDir, MetricsServer, announce, cancel_on_signal, init_logging, raise_descriptor_limit,
};
use anyhow::Context;
use assembly::Node;
use health::{HealthServer, WhenReady};
use hearth_services::cluster::Role;
use hearth_tasks::{spawn, spawn_vital};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until SIGTERM or SIGINT, or until a part fails that nothing works without.
pub(crate) async fn run(args: NodeArgs) -> anyhow::Result<()> {
    init_logging();
    raise_descriptor_limit()?;
    let config = args.config()?;
    let data = DataDir::open(&config.data_dir)?;
    // Before the slow parts: a taken port should be told at once.
    let api = match config.does(Role::Frontend) {
        true => Some(listen(config.listen).await?),
        false => None,
    };
    let peers = listen(config.cluster_listen).await?;
    let stop = CancellationToken::new();
    let signals = spawn_vital("signals", stop.clone(), cancel_on_signal(stop.clone())?);
    let metrics = match config.metrics_listen {
        Some(address) => Some(MetricsServer::start(address).await?),
        None => None,
    };
    let (when_ready, ended) = (WhenReady::default(), CancellationToken::new());
    let health = match config.health_listen {
        Some(address) => {
            let server = HealthServer::start(address).await?;
            Some(spawn("health", server.serve(Arc::clone(&when_ready), ended.clone())))
        }
        None => None,
    };

    let node = Node::start(&config, &data, &peers, &stop).await?;
    let _first = when_ready.set(node.readiness());
    let operator = OperatorSocket::bind(data.root())?;
    let operator = spawn("operator", operator.serve(node.desk(), stop.child_token()));
    let metrics =
        metrics.map(|server| spawn("metrics", server.serve(node.observer(), stop.child_token())));
    match &api {
        Some(api) => announce(api.local_addr()?)?,
        None => tracing::info!(node = %config.name, "ready"),
    }
    let served = node.serve(api, peers, stop.clone()).await;
    stop.cancel();
    operator.await.context("the operator's socket failed")?;
    if let Some(metrics) = metrics {
        metrics.await.context("serving metrics failed")?;
    }
    ended.cancel();
    if let Some(health) = health {
        health.await.context("answering probes failed")?;
    }
    signals.abort();
    tracing::info!("stopped");
    served
}

async fn listen(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
