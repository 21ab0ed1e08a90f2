//! Builds the guest images: `cargo run -p hearth-images --example build -- CACHE AGENT [RUNTIME…]`.

use anyhow::Context;
use hearth_images::{BuildOptions, ImageCache, Progress};
use hearth_types::Runtime;
use std::path::Path;
use std::time::Instant;

struct Lines(Instant);

impl Progress for Lines {
    fn step(&self, number: usize, total: usize, name: &str) {
        println!("{:6.1} s  {number}/{total} {name}", self.0.elapsed().as_secs_f32());
    }
    fn advance(&self, fraction: f32, message: &str) {
        println!(
            "{:6.1} s    {:3.0} % {message}",
            self.0.elapsed().as_secs_f32(),
            fraction * 100.0
        );
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cache, agent, runtimes @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: build CACHE AGENT [RUNTIME…]");
    };
    let runtimes = runtimes.iter().map(|r| r.parse::<Runtime>()).collect::<Result<Vec<_>, _>>()?;
    let runtimes = if runtimes.is_empty() { Runtime::ALL.to_vec() } else { runtimes };
    let options = BuildOptions {
        agent: Path::new(agent),
        runtimes: &runtimes,
        refresh: false,
        progress: &Lines(Instant::now()),
    };
    let images = ImageCache::open(cache).context("cache")?.build(&options)?;
    println!("{images:#?}");
    Ok(())
}
