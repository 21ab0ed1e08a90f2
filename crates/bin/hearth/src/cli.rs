//! The command line: what there is, with its help, and which module runs it.

use crate::commands::{
    accounts, bench, cluster, delete, deploy, doctor, functions, gc, images, invoke, logs,
    page_server, sandboxes, sim, snapshots,
};
use crate::output::Output;
use crate::{node, up};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Hearth: a self-hosted AWS Lambda. Every function runs in a microVM of its own.
///
/// `hearth up` serves the Lambda API on this machine; the other commands are
/// its clients, and so are the AWS CLI and the SDKs.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 the server answered with an error,
4 the function failed, 5 no server could be reached.")]
pub(crate) struct Cli {
    /// Print tables for people or JSON for programs.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve: all roles in one process, state in one directory
    Up(up::UpArgs),
    /// Serve as a node of a cluster: some of the roles, state in etcd and an object store
    Node(node::NodeArgs),
    /// Create a function from a directory or zip, or update it
    Deploy(deploy::DeployArgs),
    /// Run a function once and print its answer
    Invoke(invoke::InvokeArgs),
    /// List functions
    Functions(functions::FunctionsArgs),
    /// Print a function's log
    Logs(logs::LogsArgs),
    /// List sandboxes: which microVMs live, and what they do
    Sandboxes(sandboxes::SandboxesArgs),
    /// Delete a function and all its versions
    Delete(delete::DeleteArgs),
    /// Manage accounts and their keys (operator, on the server's machine)
    Accounts(accounts::AccountsArgs),
    /// List and show snapshots, and look for damage (operator, on the server's machine)
    Snapshots(snapshots::SnapshotsArgs),
    /// Delete what code and snapshots no longer need (operator, on the server's machine)
    Gc(gc::GcArgs),
    /// Set up a cluster: its keys, its nodes' certificates, its load balancer
    Cluster(cluster::ClusterArgs),
    /// Say what this host can run, and how to mend what is missing
    Doctor(doctor::DoctorArgs),
    /// Build the guest images
    Images(images::ImagesArgs),
    /// Serve the pages of snapshots; started by `hearth up`
    #[command(hide = true)]
    PageServer(page_server::PageServerArgs),
    /// Measure a function's latency, by kind of start and by stage
    Bench(bench::BenchArgs),
    /// Simulate a fleet of thousands of workers, to judge placement and capacity
    Sim(sim::SimArgs),
}

impl Cli {
    /// Runs the command to its end.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let output = self.output;
        match self.command {
            Command::Up(args) => up::run(args).await,
            Command::Node(args) => node::run(args).await,
            Command::Deploy(args) => deploy::run(args, output).await,
            Command::Invoke(args) => invoke::run(args, output).await,
            Command::Functions(args) => functions::run(args, output).await,
            Command::Logs(args) => logs::run(args, output).await,
            Command::Sandboxes(args) => sandboxes::run(args, output).await,
            Command::Delete(args) => delete::run(args, output).await,
            Command::Accounts(args) => accounts::run(args, output).await,
            Command::Snapshots(args) => snapshots::run(args, output).await,
            Command::Gc(args) => gc::run(args, output).await,
            Command::Cluster(args) => cluster::run(args, output).await,
            Command::Doctor(args) => doctor::run(args, output).await,
            Command::Images(args) => images::run(args, output).await,
            Command::PageServer(args) => page_server::run(args).await,
            Command::Bench(args) => bench::run(args, output).await,
            Command::Sim(args) => sim::run(args).await,
        }
    }
}

/// `~/.local/share/hearth`, or under `XDG_DATA_HOME`.
pub(crate) fn default_data_dir() -> PathBuf {
    user_dir("XDG_DATA_HOME", ".local/share")
}

/// `~/.cache/hearth`, or under `XDG_CACHE_HOME`.
pub(crate) fn default_image_cache() -> PathBuf {
    user_dir("XDG_CACHE_HOME", ".cache")
}

fn user_dir(variable: &str, under_home: &str) -> PathBuf {
    // The XDG specification: a relative path there is to be ignored.
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = named.unwrap_or_else(|| {
        // Without a home (a bare service), the working directory is all there is.
        std::env::home_dir().unwrap_or_else(|| ".".into()).join(under_home)
    });
    base.join("hearth")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("hearth").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn up_has_defaults_and_checks_its_values() {
        let Ok(Cli { command: Command::Up(up), .. }) = parse("up") else { panic!("not parsed") };
        assert_eq!(up.listen.to_string(), "127.0.0.1:9070");
        assert!(up.data_dir.ends_with("hearth") && up.host.image_cache.ends_with("hearth"));
        assert!(parse("up --listen 127.0.0.1").is_err());
        assert!(parse("up --isolation docker").is_err());
        assert!(up.metrics_listen.is_none());
        assert!(parse("up --metrics-listen 127.0.0.1:9071").is_ok());
        assert!(parse("up --metrics-listen 0.0.0.0:9071").is_err());
        // The most that the driver has slots for, not one more.
        assert!(parse("up --sandboxes-max 512").is_ok());
        assert!(parse("up --sandboxes-max 513").is_err());
        assert!(parse("up --allow-network 10.1.0.0/16 --allow-network 192.168.1.7").is_ok());
        assert!(parse("up --allow-network lan").is_err());
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let deploy = "deploy . --name f --runtime python3.13 --handler a.b";
        assert!(parse(deploy).is_ok());
        for (arguments, mentions) in [
            ("--memory 100", "128 to 10240"),
            ("--memory 20000", "128 to 10240"),
            ("--timeout 0", "1 to 900"),
            ("--env NOVALUE", "KEY=VALUE"),
            ("--env =x", "KEY=VALUE"),
            ("--runtime cobol", "python3.13"),
            ("--name a/b", "64 letters"),
        ] {
            let line = match arguments.split_once(' ').map(|(flag, _)| flag) {
                Some("--runtime") => format!("deploy . --name f --handler a.b {arguments}"),
                Some("--name") => format!("deploy . --runtime python3.13 {arguments}"),
                _ => format!("{deploy} {arguments}"),
            };
            let error = parse(&line).expect_err(&line).to_string();
            assert!(error.contains(mentions), "{line}: {error}");
        }
    }
}
