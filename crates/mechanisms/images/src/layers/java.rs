//! The `java21` layer: Debian's OpenJDK, less what only developers need, Jackson
//! from Debian too, and a runtime of our own that its compiler makes of `images/java21`.

use super::{LayerError, added_packages, copy, run_inside};
use crate::packages::{Package, Packages};
use crate::progress::Progress;
use crate::recipe::{self, JAVA21};
use crate::tree::Tree;

const BUILD_SCRIPT: &str = "build.sh";
/// Where the build script finds the recipe in the scratch tree.
const RECIPE: &str = "recipe";
/// What it makes there, and where that goes.
const MADE: [&str; 2] = ["var/lang", "var/runtime/lib"];
const JAVA: &str = "var/lang/bin/java";
const BOOTSTRAP: &str = "var/runtime/bootstrap";
/// Files of the recipe that the bootstrap reads, and where.
const SETTINGS: [(&str, &str); 2] =
    [("options", "var/runtime/java.options"), ("flags", "var/runtime/java.flags")];

/// Makes the tree in `tree`, with `tools` as a scratch tree.
pub(crate) fn build(
    packages: &Packages,
    tree: &Tree,
    tools: &Tree,
    progress: &dyn Progress,
) -> Result<Vec<Package>, LayerError> {
    progress.advance(0.0, "fetching OpenJDK");
    let mut chosen = added_packages(&JAVA21, packages)?;
    packages.unpack(&chosen, tree.root())?;
    tree.remove("usr/share")?;
    let wanted: Vec<&str> = recipe::lines(JAVA21.text("toolchain")).collect();
    let toolchain = packages.resolve(&wanted)?;
    packages.unpack(&toolchain, tools.root())?;

    progress.advance(0.3, "making the runtime");
    for (name, contents) in JAVA21.files() {
        tools.file(&format!("{RECIPE}/{name}"), contents)?;
    }
    run_inside(tools, &format!("{RECIPE}/{BUILD_SCRIPT}"))?;
    for directory in MADE {
        copy(&tools.path(directory), &tree.path(directory))?;
    }
    tree.link("usr/bin/java", &format!("/{JAVA}"))?;
    for (name, at) in SETTINGS {
        tree.file(at, JAVA21.contents(name))?;
    }
    tree.program(BOOTSTRAP, JAVA21.contents("bootstrap"))?;
    tree.normalise(true)?;
    // The layer is made of them, though not of all their files.
    let made_of =
        |p: &Package| p.name.starts_with("openjdk-") || p.name.starts_with("libjackson2-");
    chosen.extend(toolchain.into_iter().filter(made_of));
    Ok(chosen)
}
