//! `cargo xtask …`: the chores of this repository, from a bare machine to a
//! running server. Ordinary Rust, so that nothing but cargo need be there first.
#![forbid(unsafe_code)]

mod apt;
mod artifacts;
mod bench;
mod chaos;
mod fuzz;
mod layers;
mod path;
mod programs;
mod root;
mod server;
mod shell;
mod test;
mod up;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  up [ARGS of hearth up]   install what is missing, build, start Hearth, deploy and invoke
                           examples/hello-python, and stay up until Ctrl-C. A second run
                           builds nothing anew
  test [NAME]              install what tests need and run them all; with a name, only the
                           tests whose name contains it
  bench [--count N] [--warm N] [--restores N] [--bursts N] [--output table|json]
                           measure cold starts, warm invokes and restores of
                           examples/hello-python, one and eight at once, next to those of bare
                           QEMU guests, in turns (default 5 rounds, each with 200 warm invokes;
                           20 restores; 5 bursts). On a quiet machine: ten seconds a round
  chaos [--short] [--seed N]
                           a cluster on this machine whose parts are killed and frozen at
                           random for ten minutes, under load; a fleet of workers that its
                           manager starts; and faults in three zones. With --short, one
                           minute of the first
  layers                   check that dependencies between crates point only downward
  fuzz [--seconds N]       fuzz the agent protocol and the reader of code packages
                           (default 60 s each)
  setup                    only install what is missing
  build                    only build the release binaries and the guest images
  example-java             build examples/hello-java, ready to be deployed, and the tests'
                           functions in Java; needs javac
  example-rust             build examples/hello-rust-provided, ready to be deployed
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("", &[][..]),
    };
    let result = match command {
        "up" => up::run(rest),
        up::SERVE => up::serve(rest),
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "chaos" => chaos::run(rest),
        "layers" => layers::run(),
        "fuzz" => fuzz::run(rest),
        "setup" => apt::ensure(apt::Purpose::Run),
        "example-java" => artifacts::java_functions(),
        "example-rust" => artifacts::rust_example(),
        "build" => artifacts::build().map(|_| ()),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
