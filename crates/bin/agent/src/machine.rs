//! The real guest: the virtual machine that the agent is pid 1 of.

use crate::cgroup::Cgroup;
use crate::error::{During, SetupError};
use crate::guest::Guest;
use crate::mounts::{self, ROOT};
use crate::network;
use crate::process::{Command, SpawnError, Spawned, spawn};
use crate::unique::{self, Uniqueness};
use hearth_agent_proto::{Configure, Identity, Prepare};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Where a runtime may be, in the order of preference: the runtime layer's
/// own, then the function's, then a layer's.
const ENTRYPOINTS: [&CStr; 3] =
    [c"/var/runtime/bootstrap", c"/var/task/bootstrap", c"/opt/bootstrap"];

/// Where the runtime finds the Runtime API.
const RUNTIME_API: &CStr = c"AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001";

/// A prepared guest.
pub(crate) struct Machine {
    cgroup: Cgroup,
    uniqueness: Uniqueness,
}

impl Machine {
    /// Does all that is the same for every runtime.
    pub(crate) fn boot() -> Result<Self, SetupError> {
        mounts::os_layer()?;
        network::loopback_up()?;
        let cgroup = Cgroup::create(Path::new(mounts::CGROUPS))?;
        Ok(Self { cgroup, uniqueness: Uniqueness::open()? })
    }
}

impl Guest for Machine {
    fn prepare(&self, prepare: &Prepare) -> Result<(), SetupError> {
        self.uniqueness.freshen(&prepare.entropy, prepare.clock_unix_ns)?;
        mounts::function_root()?;
        self.uniqueness.make_names()
    }

    fn configure(&self, configure: &Configure) -> Result<(), SetupError> {
        self.uniqueness.apply(&configure.identity)?;
        if let Some(network) = &configure.identity.network {
            network::configure(network)?;
        }
        self.cgroup.limit(&configure.limits)?;
        mounts::code()?;
        mounts::scratch()
    }

    fn restore(&self, identity: &Identity) -> Result<(), SetupError> {
        self.uniqueness.apply(identity)
    }

    fn start(&self, environment: &[(String, String)], line: bool) -> Result<Spawned, SetupError> {
        let program = entrypoint()?;
        let mut variables = vec![RUNTIME_API.to_owned()];
        for (name, value) in environment {
            let variable = CString::new(format!("{name}={value}"));
            variables.push(variable.during(|| format!("set the variable {name:?}"))?);
        }
        let root = CString::new(ROOT).during(|| "name the root".into())?;
        let command = Command {
            program,
            environment: &variables,
            root: Some(&root),
            cgroup: Some(self.cgroup.directory()),
            line,
        };
        spawn(&command).map_err(|error| match error {
            SpawnError::Exec(error) => SetupError::NoEntrypoint(format!(
                "{} does not execute: {error}",
                program.to_string_lossy()
            )),
            SpawnError::Setup(source) => {
                SetupError::Step { step: "start the runtime".into(), source }
            }
        })
    }

    fn correct_clock(&self, unix_ns: u64) -> Result<(), SetupError> {
        unique::correct_clock(unix_ns).during(|| "set the clock".into())
    }

    fn memory_peak_bytes(&self) -> u64 {
        self.cgroup.memory_peak_bytes()
    }

    fn out_of_memory(&self) -> bool {
        self.cgroup.out_of_memory()
    }

    fn starvation(&self) -> Result<Option<OwnedFd>, SetupError> {
        self.cgroup.starvation().map(Some)
    }

    fn kill_if_at_limit(&self) -> Result<(), SetupError> {
        self.cgroup.kill_if_at_limit()
    }

    fn kill(&self) -> Result<(), SetupError> {
        self.cgroup.kill()
    }
}

/// The first entrypoint that exists. Links in the function's own files are
/// followed as the function would see them, never out of its root.
fn entrypoint() -> Result<&'static CStr, SetupError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root: OwnedFd = open(ROOT, flags, Mode::empty()).during(|| format!("open {ROOT}"))?;
    let is_file = |path: &&CStr| {
        openat2(&root, *path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
            .and_then(fstat)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    };
    ENTRYPOINTS.into_iter().find(is_file).ok_or_else(|| {
        SetupError::NoEntrypoint("neither the runtime nor the package has a bootstrap".into())
    })
}
