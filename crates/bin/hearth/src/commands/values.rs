//! Parsers of argument values whose errors say what is legal.

use hearth_types::{MemoryMb, Runtime, TimeoutS};

/// One of the runtimes.
pub(super) fn runtime(text: &str) -> Result<Runtime, String> {
    text.parse().map_err(|_| {
        let known: Vec<_> = Runtime::ALL.iter().map(|r| r.as_str()).collect();
        format!("known runtimes are {}", known.join(", "))
    })
}

/// Memory in MB.
pub(super) fn memory(text: &str) -> Result<MemoryMb, String> {
    ranged(text)
}

/// A timeout in seconds.
pub(super) fn timeout(text: &str) -> Result<TimeoutS, String> {
    ranged(text)
}

/// `KEY=VALUE`; the value may be empty and may hold `=`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn ranged<T>(text: &str) -> Result<T, String>
where
    T: TryFrom<i64, Error: std::fmt::Display>,
{
    let number: i64 = text.parse().map_err(|_| "not a whole number".to_owned())?;
    T::try_from(number).map_err(|e| e.to_string())
}
