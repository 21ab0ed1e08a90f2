//! `hearth images`: builds the guest images, showing how far it is.

use crate::output::{self, Output};
use anyhow::Context;
use hearth_images::{BuildOptions, GuestImages, Image, ImageCache, Progress};
use hearth_types::Runtime;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The agent's file name, next to this program.
const AGENT_NAME: &str = "hearth-agent";
/// Steps of the bar.
const RESOLUTION: u64 = 1000;
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Arguments of `hearth images`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Build whatever image is missing or out of date; takes no time when none is
    Build(BuildArgs),
}

/// Arguments of `hearth images build`.
#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// Where images are kept
    #[arg(long, value_name = "DIR", default_value_os_t = crate::cli::default_image_cache())]
    image_cache: PathBuf,
    /// The guest agent to put in them [default: hearth-agent, next to this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Only this runtime's layer, beside what all share; repeat for more [default: all]
    #[arg(long = "runtime", value_name = "RUNTIME", value_parser = super::values::runtime)]
    runtimes: Vec<Runtime>,
    /// Build everything again, so that new versions of Debian's packages get in
    #[arg(long)]
    refresh: bool,
}

/// Runs one action.
pub(crate) async fn run(args: ImagesArgs, output: Output) -> anyhow::Result<()> {
    let Action::Build(args) = args.action;
    let images = build(&args)?;
    let all = listing(&images);
    match output {
        Output::Json => {
            let all = all.iter().map(|(name, image)| {
                json!({ "name": name, "path": image.path, "bytes": image.bytes,
                        "sha256": image.digest.to_string() })
            });
            output::json(&all.collect::<Vec<_>>())
        }
        Output::Table => {
            let rows = all.iter().map(|(name, image)| {
                let size = format!("{:.1} MB", image.bytes as f64 / 1e6);
                vec![name.clone(), size, image.path.display().to_string()]
            });
            output::table(&["image", ">size", "file"], rows, "no images")
        }
    }
}

fn build(args: &BuildArgs) -> anyhow::Result<GuestImages> {
    let agent = match &args.agent {
        Some(path) => path.clone(),
        None => beside_this_program()?,
    };
    let context = || format!("image cache {}", args.image_cache.display());
    let cache = ImageCache::open(&args.image_cache).with_context(context)?;
    let named = &args.runtimes[..];
    let bars = Bars::new();
    let options = BuildOptions {
        agent: &agent,
        runtimes: if named.is_empty() { &Runtime::ALL } else { named },
        refresh: args.refresh,
        progress: &bars,
    };
    Ok(cache.build(&options)?)
}

/// The agent that comes with this program.
pub(crate) fn beside_this_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("where is this program?")?;
    let agent = program.parent().unwrap_or(Path::new("/")).join(AGENT_NAME);
    anyhow::ensure!(
        agent.is_file(),
        "there is no {AGENT_NAME} next to {}: `cargo xtask build` makes it, or name one with --agent",
        program.display()
    );
    Ok(agent)
}

fn listing(images: &GuestImages) -> Vec<(String, &Image)> {
    let base =
        [("kernel", &images.kernel), ("initramfs", &images.initramfs), ("os", &images.os_layer)];
    let runtimes = images.runtime_layers.iter().map(|(r, image)| (r.to_string(), image));
    base.into_iter().map(|(name, image)| (name.to_owned(), image)).chain(runtimes).collect()
}

/// One bar, for the step that is being done; a line per step where stderr is
/// not a terminal.
struct Bars {
    bar: ProgressBar,
    plain: bool,
}

impl Bars {
    fn new() -> Self {
        let plain = !std::io::stderr().is_terminal();
        let target =
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(RESOLUTION), target);
        // The template is a constant: were it wrong, bars would look plain.
        if let Ok(style) = ProgressStyle::with_template(
            "{spinner:.yellow} {prefix:<24} {bar:30.yellow/black} {elapsed:>4} {wide_msg:.dim}",
        ) {
            bar.set_style(style.progress_chars("━━╌"));
        }
        bar.enable_steady_tick(TICK);
        Self { bar, plain }
    }
}

impl Progress for Bars {
    fn step(&self, number: usize, total: usize, name: &str) {
        if self.plain {
            eprintln!("[{number}/{total}] {name}");
        }
        self.bar.reset();
        self.bar.set_prefix(format!("[{number}/{total}] {name}"));
        self.bar.set_message("");
    }

    fn advance(&self, fraction: f32, message: &str) {
        self.bar.set_position((fraction.clamp(0.0, 1.0) * RESOLUTION as f32) as u64);
        self.bar.set_message(message.to_owned());
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_agent_the_error_says_how_to_get_one() {
        // The test binary lies in a directory of its own, with no agent in it.
        let error = beside_this_program().unwrap_err().to_string();
        assert!(error.contains("hearth-agent") && error.contains("--agent"), "{error}");
    }

    #[test]
    fn progress_is_shown_without_a_terminal_too() {
        let bars = Bars { bar: ProgressBar::hidden(), plain: false };
        bars.step(1, 2, "kernel");
        bars.advance(0.5, "packing");
        assert_eq!((bars.bar.position(), bars.bar.message()), (500, "packing".to_owned()));
        bars.advance(7.0, "beyond");
        assert_eq!(bars.bar.position(), RESOLUTION);
        bars.finish();
        assert!(bars.bar.is_finished());
    }
}
