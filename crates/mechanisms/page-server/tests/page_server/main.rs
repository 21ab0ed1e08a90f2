//! A page server in a process of its own, as its users know it. This program is
//! the tests, and by its first argument the server or a process that uses one.

mod bind;
mod common;
mod death;
mod faulting;
mod faults;
mod measure;
mod reads;
mod roles;
mod slow;
mod vmm;
mod writes;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if std::env::args().nth(1).is_some_and(|role| roles::play(&role)) {
        return;
    }
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let suites =
        [reads::tests, bind::tests, slow::tests, death::tests, writes::tests, faults::tests];
    for tests in suites {
        trials.extend(tests());
    }
    trials.push(vmm::test());
    trials.push(measure::test());
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test of this name.
fn trial<F>(name: &'static str, test: fn() -> F) -> Trial
where
    F: Future<Output = anyhow::Result<()>> + 'static,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result =
            runtime.block_on(async { tokio::time::timeout(common::PATIENCE, test()).await });
        // Of a test that failed, a reader may wait forever.
        runtime.shutdown_background();
        match result {
            Ok(result) => Ok(result.map_err(|error| format!("{error:?}"))?),
            Err(_) => Err("it took too long".into()),
        }
    })
}
