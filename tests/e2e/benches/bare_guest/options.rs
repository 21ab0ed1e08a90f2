//! What the benchmark is told to do.

use anyhow::{Context, Result, bail, ensure};

/// Rounds unless told otherwise: enough for a median, some ten seconds each.
const COUNT_DEFAULT: u32 = 5;
/// Most rounds.
const COUNT_MAX: u32 = 1000;
/// Warm invokes in each round unless told otherwise.
const WARM_DEFAULT: u32 = 200;
/// Most of them: what `hearth bench --warm-each` takes.
const WARM_MAX: u32 = 1000;
/// Restores unless told otherwise.
const RESTORES_DEFAULT: u32 = 20;
/// Bursts of restores unless told otherwise.
const BURSTS_DEFAULT: u32 = 5;

/// How results are printed.
pub(crate) enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The options.
pub(crate) struct Options {
    /// Rounds.
    pub(crate) count: u32,
    /// Warm invokes in each.
    pub(crate) warm: u32,
    /// Restores of each kind.
    pub(crate) restores: u32,
    /// Bursts of restores.
    pub(crate) bursts: u32,
    /// How results are printed.
    pub(crate) form: Form,
}

impl Options {
    /// From the command line.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            count: COUNT_DEFAULT,
            warm: WARM_DEFAULT,
            restores: RESTORES_DEFAULT,
            bursts: BURSTS_DEFAULT,
            form: Form::Table,
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{option} needs a value"))?;
            match (option.as_str(), value.as_str()) {
                ("--count", _) => options.count = number(&option, &value, COUNT_MAX)?,
                ("--warm", _) => options.warm = number(&option, &value, WARM_MAX)?,
                ("--restores", _) => options.restores = number(&option, &value, COUNT_MAX)?,
                ("--bursts", _) => options.bursts = number(&option, &value, COUNT_MAX)?,
                ("--output", "table") => options.form = Form::Table,
                ("--output", "json") => options.form = Form::Json,
                _ => bail!(
                    "{option} {value}: there are --count N, --warm N, --restores N, \
                            --bursts N, --output table|json"
                ),
            }
        }
        Ok(options)
    }
}

fn number(option: &str, value: &str, max: u32) -> Result<u32> {
    let number = value.parse().with_context(|| format!("{option} {value}"))?;
    ensure!((1..=max).contains(&number), "{option} {value}: from 1 to {max}");
    Ok(number)
}
