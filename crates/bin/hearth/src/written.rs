//! Pages of documentation that are written by the program's own tests, so that
//! they cannot say anything else than the code: a stale one fails its test, and
//! `HEARTH_WRITE_DOCS=1 cargo test -p hearth page` writes it anew.

use std::path::Path;

/// Compares a page in the repository with what it should say, or writes it.
pub(crate) fn check_page(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path);
    if std::env::var_os("HEARTH_WRITE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{path} is stale: write it anew with HEARTH_WRITE_DOCS=1 cargo test -p hearth page"
    );
}

/// What the path of a default is on everybody's machine.
fn without_home(value: &str) -> String {
    let named = [
        (crate::cli::default_data_dir(), "~/.local/share/hearth"),
        (crate::cli::default_image_cache(), "~/.cache/hearth"),
    ];
    let known = named.iter().find(|(path, _)| path.as_os_str() == value);
    known.map_or(value, |(_, everywhere)| everywhere).to_owned()
}

/// A row for one option or argument.
fn row(arg: &clap::Arg) -> String {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("-{short}, --{long}"),
        (Some(long), None) => format!("--{long}"),
        (None, _) => String::new(),
    };
    let takes_value = arg.get_action().takes_values();
    let values = arg.get_value_names().unwrap_or_default().join(" ");
    let name = match takes_value {
        true => format!("{name} {values}").trim().to_owned(),
        false => name,
    };
    let cell = |text: String| if text.is_empty() { text } else { format!("`{text}`") };
    let default = arg.get_default_values().iter().map(|v| without_home(&v.to_string_lossy()));
    let default = default.filter(|_| takes_value).collect::<Vec<_>>().join(" ");
    let default = match arg.is_required_set() {
        true => "required".to_owned(),
        false => cell(default),
    };
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible = arg.get_possible_values();
    if takes_value && !possible.is_empty() {
        let named: Vec<_> = possible.iter().map(|v| format!("`{}`", v.get_name())).collect();
        help += &format!(" ({})", named.join(", "));
    }
    let line = |text: String| text.replace('\n', " ").replace('|', "\\|");
    format!("| {} | {default} | {} |\n", line(cell(name)), line(help))
}

fn section(command: &clap::Command, path: &str, page: &mut String) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    *page += &format!("\n## `{path}`\n\n{about}\n");
    let mut rows = command
        .get_arguments()
        .filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
        // It is everywhere: told once, at the top.
        .filter(|arg| arg.get_id() != "output" || path == "hearth")
        .map(row)
        .peekable();
    if rows.peek().is_some() {
        *page += "\n| option | default | what |\n|---|---|---|\n";
        page.extend(rows);
    }
    if let Some(more) = command.get_after_help() {
        *page += &format!("\n{more}\n");
    }
    let shown = |c: &&clap::Command| c.get_name() != "help" && !c.is_hide_set();
    for inner in command.get_subcommands().filter(shown) {
        section(inner, &format!("{path} {}", inner.get_name()), page);
    }
}

#[test]
fn the_page_of_options_is_what_the_command_line_takes() {
    let mut command = <crate::cli::Cli as clap::CommandFactory>::command();
    command.build();
    let mut page = "# Options\n\nEvery command, with its options and their defaults; \
        `hearth COMMAND --help` says the same.\n"
        .to_owned();
    section(&command, "hearth", &mut page);
    check_page("docs/options.md", &page);
}
