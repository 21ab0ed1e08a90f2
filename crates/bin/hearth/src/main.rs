//! The `hearth` binary: one program that is the server, its command line and
//! its benchmark. This file parses arguments, runs one command and turns what
//! went wrong into one line on stderr and an exit code.
#![forbid(unsafe_code)]

mod bench;
mod cli;
mod client;
mod commands;
mod exit;
mod node;
mod operator;
mod output;
mod package;
mod payload;
mod snapshot_page;
mod timing;
mod up;
#[cfg(test)]
mod written;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failure(&error),
    }
}

/// Runs the chosen command on a runtime of its own. A client waits for one
/// connection and needs one thread.
fn run(cli: cli::Cli) -> anyhow::Result<()> {
    let runtime = match &cli.command {
        cli::Command::Up(_) => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(server_threads())
            .enable_all()
            .build()?,
        cli::Command::PageServer(_) => hearth_page_server::runtime()?,
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
    };
    let result = runtime.block_on(cli.run());
    // A blocking read of stdin cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    result
}

/// Half of the cores: an invoke is little work for the server and much for its
/// guest, and each thread more is one more to wake on the way. Long work has
/// threads of its own.
fn server_threads() -> usize {
    const CORES_PER_THREAD: usize = 2;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.div_ceil(CORES_PER_THREAD)
}
