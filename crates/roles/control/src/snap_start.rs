//! What `SnapStart` asks of a function, and of this server.

use crate::service::ControlService;
use hearth_services::control::{ControlError, CreateFunction};
use hearth_types::{EphemeralStorageMb, FunctionVersion, Runtime, SnapStart};

impl ControlService {
    /// Refuses settings that no snapshot can be taken with. They are judged
    /// together, so a change that names only one of them is judged too.
    pub(crate) fn check_snap_start(&self, version: &FunctionVersion) -> Result<(), ControlError> {
        self.check(version.snap_start, version.runtime, version.ephemeral_storage)
    }

    /// The same for a function that is to be made, before its code is built.
    pub(crate) fn check_new_snap_start(&self, new: &CreateFunction) -> Result<(), ControlError> {
        let settings = &new.settings;
        let storage = settings.ephemeral_storage.unwrap_or_default();
        self.check(settings.snap_start.unwrap_or_default(), new.runtime, storage)
    }

    fn check(
        &self,
        snap_start: SnapStart,
        runtime: Runtime,
        storage: EphemeralStorageMb,
    ) -> Result<(), ControlError> {
        if !snap_start.is_on() {
            return Ok(());
        }
        if self.snapshots.is_none() {
            return Err(ControlError::Unsupported(
                "This server takes no snapshots, so it does not support SnapStart.".to_owned(),
            ));
        }
        if !runtime.has_snapshots() {
            return Err(ControlError::Invalid(format!(
                "{runtime} is not supported for SnapStart enabled functions."
            )));
        }
        if storage.get() > EphemeralStorageMb::MIN {
            return Err(ControlError::Invalid(format!(
                "Ephemeral storage greater than {} MB is not supported for SnapStart enabled \
                 functions.",
                EphemeralStorageMb::MIN
            )));
        }
        Ok(())
    }
}
