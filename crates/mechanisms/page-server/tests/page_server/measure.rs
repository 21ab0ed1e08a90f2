//! What a restored guest pays for its memory being served: `cargo test --release
//! -p hearth-page-server --test page_server -- --ignored --nocapture`.

use crate::common::{PAGE, Stage};
use crate::roles::{Kind, reference};
use crate::trial;
use hearth_page_server::{PageNo, Prefetch};
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const PAGES: u64 = 65_536;
const DATA_PAGES: usize = 75 * 256;
const TOUCHED: usize = 777;
const ROUNDS: usize = 20;

pub(crate) fn test() -> Trial {
    trial("measure::touching_pages", measure).with_ignored_flag(true)
}

/// Starts a process that maps the file; touches when told; the microseconds.
struct Toucher(std::process::Child, BufReader<std::process::ChildStdout>);

impl Toucher {
    fn start(file: &Path, pages: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("touch")
            .args([file, pages])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut String::new())?;
        Ok(Self(child, said))
    }

    fn touch(mut self) -> anyhow::Result<(u64, String)> {
        self.0.stdin.take().unwrap().write_all(b"\n")?;
        let (mut micros, mut bytes) = (String::new(), String::new());
        self.1.read_line(&mut micros)?;
        self.1.read_line(&mut bytes)?;
        anyhow::ensure!(self.0.wait()?.success());
        Ok((micros.trim().parse()?, bytes))
    }
}

async fn measure() -> anyhow::Result<()> {
    let stage = Stage::new().await?;
    let mut random = StdRng::seed_from_u64(777);
    // Data in stretches of 1 to 64 pages all over the file.
    let path = stage.path("memory");
    let file = File::create(&path)?;
    file.set_len(PAGES * PAGE as u64)?;
    let mut data = Vec::new();
    let mut at = 0;
    while data.len() < DATA_PAGES {
        at += random.random_range(1..150);
        for page in at..at + random.random_range(1..65) {
            let mut bytes = vec![0; PAGE];
            random.fill(&mut bytes[..]);
            file.write_all_at(&bytes, (page * PAGE) as u64)?;
            data.push(page);
        }
        at = data.last().unwrap() + 1;
    }
    anyhow::ensure!(at < PAGES as usize);
    data.shuffle(&mut random);
    data.truncate(TOUCHED);
    let list: Vec<_> = data.iter().map(ToString::to_string).collect();
    std::fs::write(stage.path("touched"), list.join(","))?;
    // Within each piece in the file's order, as a pack is made.
    let mut packed = data.clone();
    packed.chunks_mut(128).for_each(<[usize]>::sort_unstable);
    let mut pack = Vec::new();
    let memory = File::open(&path)?;
    for page in &packed {
        let mut bytes = vec![0; PAGE];
        memory.read_exact_at(&mut bytes, (page * PAGE) as u64)?;
        pack.extend(bytes);
    }
    std::fs::write(stage.path("pack"), pack)?;
    let touched = stage.path("touched");
    let prefetch = Prefetch {
        pack: Some(reference(Kind::Plain, &stage.path("pack"))),
        pages: packed.iter().map(|page| PageNo(*page as u32)).collect(),
        zeros: vec![],
    };
    let mut times: [Vec<u64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let (plain, expected) = Toucher::start(&path, &touched)?.touch()?;
        times[0].push(plain);

        let clone = stage.file(PAGES).await?;
        let toucher = Toucher::start(clone.path(), &touched)?;
        clone.bind(reference(Kind::Plain, &path), None).await?;
        let (cold, bytes) = toucher.touch()?;
        anyhow::ensure!(bytes == expected);
        times[1].push(cold);

        let clone = stage.file(PAGES).await?;
        let toucher = Toucher::start(clone.path(), &touched)?;
        let began = Instant::now();
        clone.bind(reference(Kind::Plain, &path), Some(prefetch.clone())).await?;
        times[2].push(began.elapsed().as_micros() as u64);
        let report = clone.prefetched().await?;
        times[3].push(report.micros);
        anyhow::ensure!(report.pages == TOUCHED as u64);
        let (pushed, bytes) = toucher.touch()?;
        anyhow::ensure!(bytes == expected && clone.stats().await?.requests == 0);
        times[4].push(pushed);

        // Touched while they are being pushed.
        let clone = stage.file(PAGES).await?;
        let toucher = Toucher::start(clone.path(), &touched)?;
        clone.bind(reference(Kind::Plain, &path), Some(prefetch.clone())).await?;
        let (meanwhile, bytes) = toucher.touch()?;
        anyhow::ensure!(bytes == expected);
        times[5].push(meanwhile);
    }
    let names = [
        "touch, plain local file",
        "touch, served, cold",
        "bind with the working set: bound",
        "bind with the working set: all pushed",
        "touch, served, working set pushed",
        "touch, served, while it is pushed",
    ];
    for (name, mut times) in names.into_iter().zip(times) {
        times.sort_unstable();
        let ms = |micros: u64| micros as f64 / 1000.0;
        let (min, max) = (times[0], times[ROUNDS - 1]);
        println!(
            "{name:40} median {:7.2} ms  min {:7.2}  max {:7.2}",
            ms(times[ROUNDS / 2]),
            ms(min),
            ms(max)
        );
    }
    Ok(())
}
