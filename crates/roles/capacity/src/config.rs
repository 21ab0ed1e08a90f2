//! What an operator says of the fleet's size, and of who starts and stops workers.

use hearth_types::{NodeName, ZoneName};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// More headroom than tenfold is a mistake.
const HEADROOM_PERCENT_MAX: u32 = 1_000;
/// More workers in a zone than any fleet has.
const WORKERS_MAX: u32 = 10_000;
/// Longest that a worker may take to come: nobody waits for one that was asked for
/// yesterday.
const ARRIVAL_S_MAX: u64 = 24 * 3600;

/// The `[capacity]` table of a node's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CapacityConfig {
    /// The least workers that each zone has.
    pub min_workers: u32,
    /// And the most.
    pub max_workers: u32,
    /// How much more than the forecast's upper bound there should be, in percent.
    pub headroom_percent: u32,
    /// Zones that are to have workers, beside those that have some.
    pub zones: BTreeSet<ZoneName>,
    /// How long a worker that was asked for may take to come, in seconds; then another is.
    pub arrival_max_s: u64,
    /// Who starts and stops workers. Without one the manager watches: it cordons and drains
    /// what is sick, and says what else it would do.
    pub provider: Option<ProviderConfig>,
}

/// Who starts and stops workers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderConfig {
    /// Programs of the operator's.
    Command(CommandConfig),
    /// Processes of this host.
    Process(ProcessConfig),
}

/// Programs of the operator's, each as its absolute path and arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandConfig {
    /// Starts workers in a zone.
    pub scale_up: Vec<String>,
    /// Stops one.
    pub scale_down: Vec<String>,
}

/// Processes of this host.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProcessConfig {
    /// A node's file, in which `{name}`, `{zone}`, `{data-dir}` and `{port}` are put in.
    pub template: PathBuf,
    /// Where each has a directory of its own.
    pub data_dir: PathBuf,
    /// What their names begin with; `-` and a number follow.
    pub name: NodeName,
    /// `{port}` of the first, the next port of the second. None: the system chooses.
    #[serde(default)]
    pub first_port: u16,
    /// Whether they end with the manager. Else they live on, and its successor on this
    /// host finds them.
    #[serde(default)]
    pub end_with_manager: bool,
}

impl Default for CapacityConfig {
    fn default() -> Self {
        Self {
            min_workers: 1,
            max_workers: 16,
            headroom_percent: 20,
            zones: BTreeSet::new(),
            arrival_max_s: 600,
            provider: None,
        }
    }
}

/// The table makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCapacity {
    /// A zone's last worker is never taken away.
    #[error("`min-workers` is at least 1: a zone's last worker is never taken away")]
    NoMinimum,
    /// The bounds exclude each other, or are no bounds.
    #[error("`max-workers` is at least `min-workers`, and at most {WORKERS_MAX}")]
    Bounds,
    /// Too much.
    #[error("`headroom-percent` is at most {HEADROOM_PERCENT_MAX}")]
    Headroom,
    /// Too short or long.
    #[error("`arrival-max-s` is between 1 and {ARRIVAL_S_MAX}")]
    Arrival,
    /// A program that is searched for could be somebody else's.
    #[error("`{0}` begins with the absolute path of a program")]
    NoProgram(&'static str),
}

impl CapacityConfig {
    /// Whether it makes sense.
    pub fn check(&self) -> Result<(), InvalidCapacity> {
        if self.min_workers == 0 {
            return Err(InvalidCapacity::NoMinimum);
        }
        if !(self.min_workers..=WORKERS_MAX).contains(&self.max_workers) {
            return Err(InvalidCapacity::Bounds);
        }
        if self.headroom_percent > HEADROOM_PERCENT_MAX {
            return Err(InvalidCapacity::Headroom);
        }
        if !(1..=ARRIVAL_S_MAX).contains(&self.arrival_max_s) {
            return Err(InvalidCapacity::Arrival);
        }
        if let Some(ProviderConfig::Command(commands)) = &self.provider {
            for (name, words) in
                [("scale-up", &commands.scale_up), ("scale-down", &commands.scale_down)]
            {
                if !words.first().is_some_and(|program| program.starts_with('/')) {
                    return Err(InvalidCapacity::NoProgram(name));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn arrival_max(&self) -> Duration {
        Duration::from_secs(self.arrival_max_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CapacityConfig, String> {
        let config: CapacityConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|e| e.to_string()).map(|()| config)
    }

    #[test]
    fn what_is_left_out_has_a_default_and_both_providers_are_read() {
        let config = read("").unwrap();
        assert_eq!((config.min_workers, config.max_workers), (1, 16));
        assert!(config.provider.is_none());
        let command = "[provider.command]\nscale-up = ['/bin/up', '-x']\nscale-down = ['/d']\n";
        assert!(matches!(read(command).unwrap().provider, Some(ProviderConfig::Command(_))));
        let process = "[provider.process]\ntemplate = 't'\ndata-dir = 'd'\nname = 'auto'\n";
        let Some(ProviderConfig::Process(process)) = read(process).unwrap().provider else {
            panic!("another")
        };
        assert_eq!((process.first_port, process.end_with_manager), (0, false));
    }

    #[test]
    fn what_is_wrong_is_refused_by_its_name() {
        for (wrong, says) in [
            ("min-workers = 0", "min-workers"),
            ("max-workers = 0", "max-workers"),
            ("headroom-percent = 2000", "headroom-percent"),
            ("arrival-max-s = 0", "arrival-max-s"),
            ("wokers = 1", "wokers"),
            ("provider.cloud = {}", "cloud"),
            ("[provider.command]\nscale-up = ['up']\nscale-down = ['/d']", "scale-up"),
            ("[provider.command]\nscale-up = ['/u']\nscale-down = []", "scale-down"),
            ("[provider.command]\nscale-up = ['/u']\nscale-down = ['/d']\nx = 1", "x"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
