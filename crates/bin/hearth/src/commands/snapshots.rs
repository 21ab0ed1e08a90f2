//! `hearth snapshots`: which there are, what they consist of, and whether they are whole.

use crate::operator::{Link, OperatorClient, Shown, SnapshotLine, Verified};
use crate::output::{self, Output, size};
use crate::snapshot_page;
use anyhow::Context;
use hearth_snapshot_store::{Parts, Summary};
use hearth_types::{AccountId, FunctionName, Version};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Digits of a layer's digest that tables show: enough to name it by.
const DIGITS: usize = 12;

/// Arguments of `hearth snapshots`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
These talk to the server that runs on this data directory, over its operator.sock: only the user
that owns the directory, and root, can open it. A layer is a guest that waits for a function, and
stands below the snapshots of functions: they store what differs from it.")]
pub(crate) struct SnapshotsArgs {
    /// The data directory of the running server
    #[arg(long, global = true, value_name = "DIR", default_value_os_t = crate::cli::default_data_dir())]
    data_dir: PathBuf,
    #[command(subcommand)]
    action: Option<Action>,
}

/// What to do; without it, functions' snapshots are listed.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the layers
    Layers,
    /// Show one snapshot: its parts, the layers below it, its working set
    Show(ShowArgs),
    /// Read everything that snapshots and code need, and look for damage; exit code 1 if there is any
    Verify,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// FUNCTION:VERSION, or the beginning of a layer's name
    #[arg(value_name = "SNAPSHOT")]
    what: What,
    /// The account's twelve digits, where several have such a function
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    /// Write a page with a map of its memory
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Which snapshot.
#[derive(Clone, Debug)]
enum What {
    Version(FunctionName, Version),
    Layer(String),
}

impl std::str::FromStr for What {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match text.split_once(':') {
            Some((function, version)) => match (function.parse(), version.parse()) {
                (Ok(function), Ok(version)) => Ok(Self::Version(function, version)),
                _ => Err("write FUNCTION:VERSION, as in hello:3".to_owned()),
            },
            None if !text.is_empty() && text.chars().all(is_name) => {
                Ok(Self::Layer(text.to_owned()))
            }
            None => Err("write FUNCTION:VERSION, or a layer's name".to_owned()),
        }
    }
}

/// Runs one action and prints what came of it.
pub(crate) async fn run(args: SnapshotsArgs, output: Output) -> anyhow::Result<()> {
    let mut operator = OperatorClient::connect(&args.data_dir).await?;
    match args.action {
        None => functions(operator.snapshots().await?, output),
        Some(Action::Layers) => layers(operator.snapshots().await?, output),
        Some(Action::Show(args)) => show(&mut operator, args, output).await,
        Some(Action::Verify) => verified(&operator.verify().await?, output),
    }
}

fn functions(all: Vec<SnapshotLine>, output: Output) -> anyhow::Result<()> {
    let lines: Vec<_> = all.into_iter().filter(|line| line.of.is_some()).collect();
    if output == Output::Json {
        return output::json(&lines);
    }
    let accounts: BTreeSet<_> = lines.iter().flat_map(|l| &l.of).map(|of| &of.account).collect();
    let mut header = vec!["function", "version"];
    header.extend(COLUMNS);
    header.push("layer");
    let is_mixed = accounts.len() > 1;
    if is_mixed {
        header.push("account");
    }
    let row = |line: &SnapshotLine| {
        let of = line.of.as_ref();
        let function = of.and_then(|of| of.function.as_ref());
        let version = of.and_then(|of| of.version);
        let mut row = vec![
            function.map_or("(deleted)".to_owned(), ToString::to_string),
            version.map_or("-".to_owned(), |version| version.to_string()),
        ];
        row.extend(columns(line));
        row.push(parent(line));
        row.extend(of.filter(|_| is_mixed).map(|of| of.account.to_string()));
        row
    };
    let none = "no snapshots: publish a version with `hearth deploy --snap-start`";
    output::table(&header, lines.iter().map(row), none)
}

fn layers(all: Vec<SnapshotLine>, output: Output) -> anyhow::Result<()> {
    let lines: Vec<_> = all.into_iter().filter(|line| line.of.is_none()).collect();
    if output == Output::Json {
        return output::json(&lines);
    }
    let mut header = vec!["layer"];
    header.extend(COLUMNS);
    header.push("on");
    let row = |line: &SnapshotLine| {
        let mut row = vec![short(&line.name)];
        row.extend(columns(line));
        row.push(parent(line));
        row
    };
    output::table(&header, lines.iter().map(row), "no layers: the first invoke has them made")
}

/// What both lists show of a snapshot.
const COLUMNS: [&str; 5] = ["created", ">memory", ">own", ">shared", ">working set"];

fn columns(line: &SnapshotLine) -> [String; 5] {
    match line.summary.as_ref().filter(|_| line.error.is_none()) {
        Some(summary) => [
            summary.created.to_rfc3339(),
            format!("{} MiB", summary.memory_mib),
            size(summary.memory.own_bytes),
            size(summary.memory.shared_bytes),
            summary.working_set.map_or("-".to_owned(), |set| format!("{} pages", set.pages)),
        ],
        None => ["damaged: see show", "-", "-", "-", "-"].map(ToOwned::to_owned),
    }
}

fn parent(line: &SnapshotLine) -> String {
    let parent = line.summary.as_ref().and_then(|summary| summary.parent.as_deref());
    parent.map_or("-".to_owned(), short)
}

/// `python3.13-0af2…` as people can type it.
fn short(layer: &str) -> String {
    let layer = layer.rsplit('/').next().unwrap_or(layer);
    match layer.rsplit_once('-') {
        Some((kind, digest)) => format!("{kind}-{}", &digest[..digest.len().min(DIGITS)]),
        None => layer.to_owned(),
    }
}

async fn show(operator: &mut OperatorClient, args: ShowArgs, output: Output) -> anyhow::Result<()> {
    let ShowArgs { what, account, html } = args;
    let map = html.is_some();
    let mut shown = match &what {
        What::Version(function, version) => {
            operator.snapshot(account.as_ref(), (function, *version), map).await?
        }
        What::Layer(name) => operator.layer(name, map).await?,
    };
    if let Some((path, map)) = html.zip(shown.map.take()) {
        let page = snapshot_page::page(&title(&shown), &shown, &map);
        std::fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    }
    match output {
        Output::Json => output::json(&shown),
        Output::Table => output::text(&words(&shown)),
    }
}

/// What people call it.
fn title(shown: &Shown) -> String {
    match &shown.line.of {
        Some(of) => match (&of.function, of.version) {
            (Some(function), Some(version)) => format!("{function}:{version}"),
            _ => shown.line.name.clone(),
        },
        None => short(&shown.line.name),
    }
}

fn words(shown: &Shown) -> String {
    let mut rows = vec![("snapshot", shown.line.name.clone()), ("of", title(shown))];
    if let Some(of) = &shown.line.of {
        rows.push(("account", of.account.to_string()));
    }
    rows.extend(shown.line.error.iter().map(|error| ("state", error.clone())));
    if let Some(summary) = &shown.line.summary {
        rows.extend(facts(summary));
    }
    for (at, link) in shown.chain.iter().enumerate() {
        let title = if at == 0 { "on" } else { "" };
        rows.push((title, layer(link)));
    }
    rows.iter().map(|(title, text)| format!("{title:<11}  {text}\n")).collect()
}

fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let vcpus = if summary.vcpus == 1 { "vCPU" } else { "vCPUs" };
    let mut rows = vec![
        ("created", summary.created.to_rfc3339()),
        ("guest", format!("{} MiB, {} {vcpus}", summary.memory_mib, summary.vcpus)),
        ("machine", summary.machine.clone()),
        ("memory", parts(&summary.memory)),
        ("state", size(summary.state_bytes)),
    ];
    if let Some(scratch) = &summary.scratch {
        rows.push(("/tmp", parts(scratch)));
    }
    rows.push(match &summary.working_set {
        Some(set) => (
            "working set",
            format!(
                "{} pages: {} in {} chunks, {} of zeros; starts it was learnt from: {}",
                set.pages,
                size(set.packed_bytes),
                set.packed_chunks,
                set.zero_pages,
                set.recordings
            ),
        ),
        None => ("working set", "not known before the first start from it".to_owned()),
    });
    for (at, image) in summary.images.iter().enumerate() {
        rows.push((if at == 0 { "images" } else { "" }, image.clone()));
    }
    rows
}

fn parts(parts: &Parts) -> String {
    format!(
        "{} own in {} chunks, {} shared in {} chunks, {} zero",
        size(parts.own_bytes),
        parts.own_chunks,
        size(parts.shared_bytes),
        parts.shared_chunks,
        size(parts.zero_pages * hearth_chunk_store::PAGE_BYTES as u64)
    )
}

fn layer(link: &Link) -> String {
    let name = short(&link.name);
    match &link.summary {
        Some(summary) if link.state == "there" => {
            let memory = summary.memory;
            let (own, shared) = (size(memory.own_bytes), size(memory.shared_bytes));
            format!("{name}: {own} own, {shared} shared")
        }
        _ => format!("{name}: {}; what is shared with it stays", link.state),
    }
}

fn verified(verified: &Verified, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => output::json(verified)?,
        Output::Table => output::text(&damage(verified))?,
    }
    anyhow::ensure!(
        verified.is_whole(),
        "files are damaged: publish versions again whose snapshot is, put back what code needs"
    );
    Ok(())
}

fn damage(verified: &Verified) -> String {
    let mut text = String::new();
    for snapshot in &verified.snapshots_damaged {
        text += &format!("damaged   {snapshot}\n");
    }
    for damaged in &verified.damaged {
        let healed = if damaged.healed { ", healed" } else { "" };
        text += &format!(
            "damaged   {} is {} ({}){healed}\n",
            damaged.object, damaged.what, damaged.level
        );
    }
    for unread in &verified.unread {
        text += &format!("unread    {unread}\n");
    }
    text + &format!("verified  {} chunks and manifests\n", verified.objects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot_page::tests::{example, map};

    #[test]
    fn a_snapshot_is_named_by_version_or_layer() {
        let parse = |text: &str| text.parse::<What>();
        assert!(matches!(parse("hello:3"), Ok(What::Version(..))));
        assert!(matches!(parse("python3.13-0af"), Ok(What::Layer(_))));
        for text in ["hello:", ":3", "hello:0", "a/b", "", "a?map"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn layers_are_short_enough_to_type() {
        let name = format!("layers/nodejs22.x-{}", "0123456789abcdef".repeat(4));
        assert_eq!(short(&name), "nodejs22.x-0123456789ab");
        assert_eq!(short("layer/os-12"), "os-12");
    }

    #[test]
    fn everything_that_is_known_is_said() {
        let text = words(&example());
        for said in [
            "of           hello:3\n",
            "guest        1 MiB, 1 vCPU\n",
            "memory       128.0 KiB own in 1 chunks, 512.0 KiB shared in 2 chunks, 384.0 KiB zero",
            "working set  20 pages: 64.0 KiB in 1 chunks, 4 of zeros; starts it was learnt from: 3",
            "on           python3.13-0123456789ab: 128.0 KiB own, 512.0 KiB shared\n",
            "             os-0123456789ab: gone; what is shared with it stays\n",
        ] {
            assert!(text.contains(said), "no {said:?} in\n{text}");
        }
        assert!(!text.contains("state        damaged"));
        let mut damaged = example();
        damaged.line.error = Some("damaged: chunk 00".into());
        assert!(words(&damaged).contains("state        damaged: chunk 00\n"));
        assert_eq!(columns(&damaged.line)[0], "damaged: see show");
        assert!(map().cells.len() > 100);
    }

    #[test]
    fn damage_is_an_error() {
        let mut found = Verified { objects: 7, ..Verified::default() };
        assert_eq!(damage(&found), "verified  7 chunks and manifests\n");
        assert!(found.is_whole());
        found.snapshots_damaged.push("snapshots/x: its record is missing".into());
        assert!(!found.is_whole());
        assert!(damage(&found).starts_with("damaged   snapshots/x: its record is missing\n"));
    }
}
