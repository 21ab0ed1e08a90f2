//! `hearth cluster`: what its operator makes for a cluster, and sees of it.
//!
//! ```text
//! init              DIR/ca.crt, ca.key, master.key          stay there
//! issue NAME        OUT/ca.crt, node.crt, node.key, master.key    go to the node
//! status            who is in it, who leads what
//! balancer-config   a configuration of HAProxy                    goes to the balancer
//! ```

mod balancer;
mod front_end;
mod haproxy;
mod init;
mod issue;

use crate::output::Output;

/// Arguments of `hearth cluster`.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a cluster's certificate authority and master key
    Init(init::InitArgs),
    /// Make what one node is given: its certificate and key, and the master key
    Issue(issue::IssueArgs),
    /// Say who is in the cluster, who leads what, and how they are
    Status(crate::node::StatusArgs),
    /// Print a configuration of HAProxy for a cluster's front ends
    BalancerConfig(balancer::BalancerConfigArgs),
}

/// Runs one action.
pub(crate) async fn run(args: ClusterArgs, output: Output) -> anyhow::Result<()> {
    match args.action {
        Action::Init(args) => init::run(args, output).await,
        Action::Issue(args) => issue::run(args, output).await,
        Action::Status(args) => crate::node::status(args, output).await,
        Action::BalancerConfig(args) => balancer::run(args),
    }
}
