//! Checks the floors of the house: a crate depends on floors beneath its own, as `[package.metadata.hearth] layer` of each says.
//!
//! ```text
//! base < contracts < logic < mechanisms < roles < bin
//! ```
//!
//! On one floor, base and contracts crates may use each other, and a mechanism
//! or logic crate may if it lists the other in `same-layer`; roles never may.
//! Dev-dependencies are exempt: a test may assemble anything.

use crate::shell::{cargo, output};
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeMap;

const LAYERS: [&str; 6] = ["base", "contracts", "logic", "mechanisms", "roles", "bin"];

/// Checks this workspace.
pub(crate) fn run() -> anyhow::Result<()> {
    let metadata =
        output(cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let crates = crates(&metadata)?;
    let wrong = violations(&crates);
    if !wrong.is_empty() {
        bail!("dependencies must point downward:\n  {}", wrong.join("\n  "));
    }
    println!("layers: {} crates, every dependency points downward", crates.len());
    Ok(())
}

#[derive(Debug)]
struct Crate {
    layer: usize,
    /// Crates of its own floor that it says it uses.
    same_layer: Vec<String>,
    /// What it depends on, not counting tests.
    uses: Vec<String>,
}

fn crates(metadata: &Value) -> anyhow::Result<BTreeMap<String, Crate>> {
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().context("no packages")? {
        let name = package["name"].as_str().context("a package without a name")?;
        let ours = &package["metadata"]["hearth"];
        let layer = ours["layer"].as_str().with_context(|| {
            format!("{name} does not say its layer: add [package.metadata.hearth] layer = \"…\"")
        })?;
        let layer = LAYERS.iter().position(|l| *l == layer).with_context(|| {
            format!("{name} says layer {layer:?}; there are {}", LAYERS.join(", "))
        })?;
        let strings = |value: &Value| -> Vec<String> {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        };
        let dependencies = package["dependencies"].as_array().context("no dependencies")?;
        let uses = dependencies
            .iter()
            .filter(|d| d["kind"].as_str() != Some("dev"))
            .filter_map(|d| d["name"].as_str().map(str::to_owned))
            .collect();
        let same_layer = strings(&ours["same-layer"]);
        crates.insert(name.to_owned(), Crate { layer, same_layer, uses });
    }
    Ok(crates)
}

fn violations(crates: &BTreeMap<String, Crate>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, from) in crates {
        for used in &from.uses {
            let Some(to) = crates.get(used) else { continue };
            let floors = format!("{name} ({}) → {used} ({})", LAYERS[from.layer], LAYERS[to.layer]);
            if to.layer > from.layer {
                wrong.push(format!("{floors}: points upward"));
            } else if to.layer == from.layer && !allowed_beside(from, used) {
                wrong.push(format!("{floors}: same floor, and not listed in same-layer"));
            }
        }
    }
    wrong
}

fn allowed_beside(from: &Crate, used: &str) -> bool {
    match LAYERS[from.layer] {
        "base" | "contracts" => true,
        // No listing helps: a role knows other roles by their contracts only.
        "roles" => false,
        _ => from.same_layer.iter().any(|listed| listed == used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, hearth: Value, uses: &[(&str, Value)]) -> Value {
        let dependencies: Vec<Value> =
            uses.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        json!({ "name": name, "metadata": { "hearth": hearth }, "dependencies": dependencies })
    }

    fn check(packages: Vec<Value>) -> Vec<String> {
        violations(&crates(&json!({ "packages": packages })).unwrap())
    }

    #[test]
    fn downward_and_test_only_dependencies_are_fine() {
        let packages = vec![
            package("types", json!({"layer": "base"}), &[("serde", Value::Null)]),
            package("store", json!({"layer": "mechanisms"}), &[("types", Value::Null)]),
            package("control", json!({"layer": "roles"}), &[("store", Value::Null)]),
            package("frontend", json!({"layer": "roles"}), &[("control", json!("dev"))]),
        ];
        assert_eq!(check(packages), Vec::<String>::new());
    }

    #[test]
    fn upward_dependencies_are_named() {
        let packages = vec![
            package("types", json!({"layer": "base"}), &[("store", json!("build"))]),
            package("store", json!({"layer": "mechanisms"}), &[]),
        ];
        let wrong = check(packages);
        assert_eq!(wrong, ["types (base) → store (mechanisms): points upward"]);
    }

    #[test]
    fn roles_never_know_roles_even_if_they_say_so() {
        let listing = json!({"layer": "roles", "same-layer": ["control"]});
        let packages = vec![
            package("control", json!({"layer": "roles"}), &[]),
            package("frontend", listing, &[("control", Value::Null)]),
        ];
        assert_eq!(check(packages).len(), 1);
    }

    #[test]
    fn mechanisms_may_if_they_say_so() {
        let uses = [("images", Value::Null)];
        let pair = |hearth: Value| {
            let images = package("images", json!({"layer": "mechanisms"}), &[]);
            check(vec![images, package("vmm", hearth, &uses)]).len()
        };
        assert_eq!(pair(json!({"layer": "mechanisms"})), 1);
        assert_eq!(pair(json!({"layer": "mechanisms", "same-layer": ["images"]})), 0);
    }

    #[test]
    fn a_crate_must_say_its_layer() {
        let lost = json!({ "packages": [package("lost", Value::Null, &[])] });
        assert!(crates(&lost).unwrap_err().to_string().contains("lost does not say"));
    }
}
