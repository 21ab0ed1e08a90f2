//! `hearth functions`: lists an account's functions.

use crate::client::{ApiArgs, Client};
use crate::output::{self, Output};

/// Arguments of `hearth functions`.
#[derive(Debug, clap::Args)]
pub(crate) struct FunctionsArgs {
    #[command(flatten)]
    api: ApiArgs,
}

/// Prints each function's settings.
pub(crate) async fn run(args: FunctionsArgs, output: Output) -> anyhow::Result<()> {
    let functions = Client::new(&args.api)?.functions().await?;
    if output == Output::Json {
        return output::json(&functions);
    }
    let header =
        ["name", "runtime", "handler", "memory", "timeout", "code", "snapstart", "modified"];
    let rows = functions.into_iter().map(|f| {
        vec![
            f.function_name,
            f.runtime,
            f.handler,
            format!("{} MB", f.memory_size),
            format!("{} s", f.timeout),
            bytes(f.code_size),
            f.snap_start.filter(|s| s.apply_on != "None").map_or("off", |_| "on").to_owned(),
            f.last_modified,
        ]
    });
    output::table(&header, rows, "no functions yet: `hearth deploy` makes one")
}

/// A size with one decimal in its largest unit.
fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_read_well() {
        assert_eq!([bytes(12), bytes(1_500), bytes(52_000_000)], ["12 B", "1.5 kB", "52.0 MB"]);
    }
}
