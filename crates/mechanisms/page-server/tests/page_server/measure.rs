//! What a restored guest pays for its memory being served: `cargo test --release
//! -p hearth-page-server --test page_server -- --ignored --nocapture`.

use crate::common::{PAGE, Stage, blocking, page};
use crate::faulting::Faulting;
use crate::roles::{Kind, reference};
use crate::trial;
use hearth_page_server::{PageNo, Prefetch};
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rustix::fs::{Advice, fadvise};
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
    let source = || reference(Kind::Plain, &path);
    let mut figures = Figures::default();
    std::fs::copy(&path, stage.path("few"))?;
    let few = File::open(stage.path("few"))?;
    few.sync_all()?;
    for _ in 0..ROUNDS {
        let (plain, expected) = Toucher::start(&path, &touched)?.touch()?;
        figures.add("touch, plain local file, all cached", plain);

        // The kernel maps the neighbours of a page with it, if it has them. A clone
        // has only its working set, so the fair comparison has no more.
        fadvise(&few, 0, None, Advice::DontNeed)?;
        fadvise(&few, 0, None, Advice::Random)?;
        for wanted in &data {
            page(&few, *wanted)?;
        }
        let (plain, bytes) = Toucher::start(&stage.path("few"), &touched)?.touch()?;
        anyhow::ensure!(bytes == expected);
        figures.add("touch, plain local file, those cached", plain);

        let clone = stage.file(PAGES).await?;
        let toucher = Toucher::start(clone.path(), &touched)?;
        clone.bind(source(), None).await?;
        let (cold, bytes) = toucher.touch()?;
        anyhow::ensure!(bytes == expected);
        figures.add("touch, served, cold", cold);

        let clone = stage.file(PAGES).await?;
        let toucher = Toucher::start(clone.path(), &touched)?;
        let began = Instant::now();
        clone.bind(source(), Some(prefetch.clone())).await?;
        figures.add("bind with the working set: bound", began.elapsed().as_micros() as u64);
        let report = clone.prefetched().await?;
        figures.add("bind with the working set: all pushed", report.micros);
        anyhow::ensure!(report.pages == TOUCHED as u64);
        let (pushed, bytes) = toucher.touch()?;
        anyhow::ensure!(bytes == expected && clone.stats().await?.requests == 0);
        figures.add("touch, served, working set pushed", pushed);

        let clone = stage.file(PAGES).await?;
        let toucher = Toucher::start(clone.path(), &touched)?;
        clone.bind(source(), Some(prefetch.clone())).await?;
        let (meanwhile, bytes) = toucher.touch()?;
        anyhow::ensure!(bytes == expected);
        figures.add("touch, served, while it is pushed", meanwhile);

        // What pushing replaces: reading the same pages through the mount.
        let clone = stage.file(PAGES).await?;
        clone.bind(source(), None).await?;
        let (at, pages) = (clone.path().to_owned(), packed.clone());
        let reading = blocking(move || {
            let began = Instant::now();
            let file = File::open(at)?;
            for wanted in pages {
                page(&file, wanted)?;
            }
            Ok(began.elapsed().as_micros() as u64)
        });
        figures.add("read of the working set through the mount", reading.await?);

        for ahead in [None, Some(prefetch.clone())] {
            let clone = stage.file(PAGES).await?;
            let mut process = Faulting::start(PAGES as usize)?;
            clone.serve_faults(process.uffd(), process.regions()).await?;
            let pushed = ahead.is_some();
            clone.bind(source(), ahead).await?;
            let report = clone.prefetched().await?;
            let (micros, _) = process.touch(&data)?;
            if pushed {
                figures.add("userfaultfd: all pushed", report.micros);
                figures.add("touch, userfaultfd, working set pushed", micros);
            } else {
                figures.add("touch, userfaultfd, cold", micros);
            }
            process.end()?;
        }
    }
    figures.print();
    Ok(())
}

/// Microseconds of each round, by what took them.
#[derive(Default)]
struct Figures(Vec<(&'static str, Vec<u64>)>);

impl Figures {
    fn add(&mut self, what: &'static str, micros: u64) {
        match self.0.iter_mut().find(|(name, _)| *name == what) {
            Some((_, figures)) => figures.push(micros),
            None => self.0.push((what, vec![micros])),
        }
    }

    fn print(self) {
        let ms = |micros: u64| micros as f64 / 1000.0;
        for (name, mut figures) in self.0 {
            figures.sort_unstable();
            let [min, median, max] =
                [0, figures.len() / 2, figures.len() - 1].map(|index| ms(figures[index]));
            println!("{name:42} median {median:7.2} ms  min {min:7.2}  max {max:7.2}");
        }
    }
}
