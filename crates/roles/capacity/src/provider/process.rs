//! Workers as processes of this host: `hearth node --config … --roles worker`, each with a
//! name, a directory and a port of its own, made from a template.
//!
//! ```text
//! DATA-DIR/NAME.toml      the template with its marks put in
//! DATA-DIR/NAME.process   its process, so that a later manager finds it
//! DATA-DIR/NAME/          {data-dir}
//! ```

use super::child::Process;
use super::{Ended, Machine, ProviderError, WorkerProvider};
use crate::config::ProcessConfig;
use async_trait::async_trait;
use hearth_types::{NodeName, ZoneName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Processes of one host. More workers there share what one could have.
const CHILDREN_MAX: u16 = 64;
/// Times that a process is asked to end before it is ended. Each comes some minutes after
/// the one before, and running events may end in between.
const ASKED_MAX: u32 = 3;

/// What is kept of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    process: Process,
    zone: ZoneName,
    /// How often it was asked to end.
    #[serde(default)]
    asked: u32,
}

struct Entry {
    known: Known,
    /// None of one that an earlier manager started.
    child: Option<Child>,
}

/// Processes of this host.
pub struct ProcessProvider {
    config: ProcessConfig,
    program: PathBuf,
    children: Mutex<BTreeMap<NodeName, Entry>>,
    /// Names whose process ended by itself, the latest last: another may have them, on another
    /// host, say. They are taken again once there is no other.
    fallen: Mutex<Vec<NodeName>>,
}

impl ProcessProvider {
    /// Finds what an earlier manager started. `program` is `hearth` itself.
    pub fn open(config: ProcessConfig, program: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&config.data_dir)?;
        let mut children = BTreeMap::new();
        for number in 0..CHILDREN_MAX {
            let Some(name) = name(&config.name, number) else { continue };
            let path = config.data_dir.join(format!("{name}.process"));
            let known: Known = match fs::read(&path) {
                Ok(bytes) => match serde_json::from_slice(&bytes) {
                    Ok(known) => known,
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "not a process; passed over");
                        continue;
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if known.process.is_alive() {
                tracing::info!(node = %name, "found a worker that was started before");
                children.insert(name, Entry { known, child: None });
            }
        }
        Ok(Self { config, program, children: Mutex::new(children), fallen: Mutex::default() })
    }

    fn start(&self, zone: &ZoneName) -> Result<NodeName, ProviderError> {
        let mut children = self.children.lock();
        let free = (0..CHILDREN_MAX).filter_map(|number| {
            let name = name(&self.config.name, number)?;
            (!children.contains_key(&name)).then_some((number, name))
        });
        let fallen = self.fallen.lock();
        let fell = |name: &NodeName| fallen.iter().position(|fallen| fallen == name);
        let Some((number, name)) = free.min_by_key(|(number, name)| (fell(name), *number)) else {
            let text = format!("{CHILDREN_MAX} workers run on this host already");
            return Err(ProviderError::Failed(text));
        };
        let failed = |what: &str| {
            let what = format!("cannot {what} for the worker {name}");
            move |source| ProviderError::Host { what, source }
        };
        let config = self.write_config(&name, number, zone).map_err(failed("write a file"))?;
        let mut child = self.command(&config, zone).spawn().map_err(failed("run a process"))?;
        let Some(process) = child.id().and_then(Process::of) else {
            return Err(ProviderError::Failed(format!("the worker {name} ended at once")));
        };
        let known = Known { process, zone: zone.clone(), asked: 0 };
        if let Err(error) = self.write_known(&name, &known) {
            // Nobody would find it again.
            if let Err(error) = child.start_kill() {
                tracing::warn!(node = %name, %error, "a worker that was just started could not be ended");
            }
            return Err(failed("note the process")(error));
        }
        children.insert(name.clone(), Entry { known, child: Some(child) });
        Ok(name)
    }

    fn write_config(&self, name: &NodeName, number: u16, zone: &ZoneName) -> io::Result<PathBuf> {
        let data = self.config.data_dir.join(name.as_str());
        fs::create_dir_all(&data)?;
        let port = match self.config.first_port {
            0 => 0,
            first => first.checked_add(number).unwrap_or(0),
        };
        let text = fs::read_to_string(&self.config.template)?
            .replace("{name}", name.as_str())
            .replace("{zone}", zone.as_str())
            .replace("{port}", &port.to_string())
            .replace("{data-dir}", &data.display().to_string());
        let path = self.config.data_dir.join(format!("{name}.toml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    fn write_known(&self, name: &NodeName, known: &Known) -> io::Result<()> {
        let path = self.config.data_dir.join(format!("{name}.process"));
        fs::write(path, serde_json::to_vec(known)?)
    }

    #[allow(clippy::disallowed_methods, reason = "the program that this process runs itself")]
    fn command(&self, config: &Path, zone: &ZoneName) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["node", "--roles", "worker", "--zone", zone.as_str(), "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(false);
        if !self.config.end_with_manager {
            command.process_group(0);
        }
        command
    }
}

/// The name of the one of this number.
fn name(begin: &NodeName, number: u16) -> Option<NodeName> {
    format!("{begin}-{number}").parse().ok()
}

#[async_trait]
impl WorkerProvider for ProcessProvider {
    async fn scale_up(&self, zone: &ZoneName, count: u32) -> Result<(), ProviderError> {
        for started in 0..count {
            match self.start(zone) {
                Ok(node) => tracing::info!(%node, %zone, "started a worker"),
                // The others are not coming; nobody waits longer than for one that died.
                Err(error) if started > 0 => {
                    tracing::warn!(%zone, started, count,
                        error = &error as &dyn std::error::Error, "not all workers were started");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn scale_down(&self, machine: &Machine) -> Result<(), ProviderError> {
        let mut children = self.children.lock();
        let Some(entry) = children.get_mut(&machine.node) else { return Ok(()) };
        entry.known.asked += 1;
        let ended = match entry.known.asked {
            ..=ASKED_MAX => entry.known.process.terminate(),
            _ => entry.known.process.kill(),
        };
        let what = || format!("cannot end the worker {}", machine.node);
        ended.map_err(|source| ProviderError::Host { what: what(), source })
    }

    fn owns(&self, node: &NodeName) -> bool {
        self.children.lock().contains_key(node)
    }

    fn ended(&self) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.children.lock().retain(|name, entry| {
            let gone = match entry.child.as_mut().map(Child::try_wait) {
                Some(Ok(Some(status))) => {
                    tracing::info!(node = %name, %status, "a worker's process ended");
                    true
                }
                Some(Ok(None)) => false,
                Some(Err(_)) | None => !entry.known.process.is_alive(),
            };
            if gone && entry.known.asked == 0 {
                let mut fallen = self.fallen.lock();
                fallen.retain(|fallen| fallen != name);
                fallen.push(name.clone());
                ended.push(Ended { node: name.clone(), zone: entry.known.zone.clone() });
            }
            !gone
        });
        ended
    }
}

impl Drop for ProcessProvider {
    fn drop(&mut self) {
        if !self.config.end_with_manager {
            return;
        }
        for (name, entry) in self.children.get_mut() {
            if let Err(error) = entry.known.process.terminate() {
                tracing::warn!(node = %name, %error, "a worker could not be asked to end");
            }
        }
    }
}

#[cfg(test)]
mod tests;
