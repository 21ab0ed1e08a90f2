//! Faults of a cluster in three zones, each process a host of its own in the test's network:
//! killed, cut off, without what they stand on. After each the cluster is whole again by
//! itself, nothing that was acknowledged is lost, no sandbox is given to two at a time, and
//! none is left over.

mod cut_off;
mod faults;
mod killed;
mod liar;
mod many;
mod workers;

use hearth_e2e::{Case, run};
use hearth_test_servers::Lan;
use liar::Liar;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(liar) = Liar::of_this_process() {
        let Err(error) = liar.run() else { return ExitCode::SUCCESS };
        eprintln!("the liar: {error:?}");
        return ExitCode::FAILURE;
    }
    // Before there are threads.
    if let Err(error) = Lan::enter() {
        eprintln!("a network of the test's own cannot be made ({error}): run it as root");
        return ExitCode::FAILURE;
    }
    // One runs with all other tests; `cargo xtask chaos` runs the rest.
    let cases = vec![
        Case::new("whoever_is_killed", killed::whoever_is_killed).long(),
        Case::new("whoever_is_cut_off", cut_off::whoever_is_cut_off),
        Case::new("whoever_does_not_do_its_work", workers::whoever_does_not_do_its_work).long(),
    ];
    run(1, cases)
}
