//! Arguments of `hearth up`, validated.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `hearth up`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Where functions, code, logs and keys are kept. One server per directory.
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_data_dir())]
    pub(crate) data_dir: PathBuf,
    /// Where the Lambda API is served; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9070")]
    pub(crate) listen: SocketAddr,
    /// What keeps sandboxes apart; `auto` takes the strongest that this host can run, and says why.
    #[arg(long, value_enum, default_value_t = Isolation::Auto)]
    pub(crate) isolation: Isolation,
    /// Where guest images are kept; they outlive data directories.
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_image_cache())]
    pub(crate) image_cache: PathBuf,
}

/// Which VM driver runs sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Isolation {
    /// The strongest that this host can run.
    Auto,
    /// Firecracker on KVM.
    Firecracker,
    /// QEMU's microvm machine: on KVM where it works, else in software.
    Qemu,
}
