//! THIRD_PARTY.md: what ships from others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use walkdir::WalkDir;

use crate::process;
use crate::workspace::{WASM_TARGET, cargo};

const SOURCES: &str = "pkg/src";
const LOCK: &str = "package-lock.json";
const TOOLCHAIN: &str = "rust-toolchain.toml";

/// A package that ships, with the license it declares.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    license: String,
}

pub fn render() -> Result<String> {
    let mut out = String::from(
        "<!-- Made by `cargo xtask build` from Cargo.lock and package-lock.json. -->\n\n\
         # What ships from others\n\n\
         Only what ends up in the npm package or in an application that uses it. Tools of the\n\
         build and of the tests are not shipped.\n\n\
         # # In the wasm module\n\n",
    );
    let mut crates = crates()?;
    crates.insert(standard_library()?);
    table(&mut out, &crates);
    out.push_str("\n## In the JavaScript\n\n");
    let packages = npm_packages()?;
    if packages.is_empty() {
        out.push_str("Nothing.\n");
    } else {
        table(&mut out, &packages);
    }
    Ok(out)
}

fn table(out: &mut String, packages: &BTreeSet<Package>) {
    out.push_str("| name | version | license |\n| --- | --- | --- |\n");
    for Package { name, version, license } in packages {
        writeln!(out, "| {name} | {version} | {license} |").expect("a String takes all");
    }
}

/// Crates that the wasm build links. Procedural macros run in the compiler and do not ship.
fn crates() -> Result<BTreeSet<Package>> {
    let mut tree = Command::new(cargo());
    tree.args(["tree", "--locked", "--package", "tabmq", "--target", WASM_TARGET]);
    tree.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}|{l}"]);
    parse_tree(&process::output(&mut tree)?)
}

/// Lines such as `minicbor v2.3.1|BlueOak-1.0.0`, some with ` (*)` at the end.
fn parse_tree(tree: &str) -> Result<BTreeSet<Package>> {
    let mut packages = BTreeSet::new();
    for line in tree.lines().filter(|line| !line.starts_with("tabmq ")) {
        let (name, license) = line.split_once('|').context("cargo tree prints one | in a line")?;
        let (name, version) = name.split_once(" v").context("cargo tree prints a version")?;
        packages.insert(Package {
            name: name.to_owned(),
            version: version.trim_end_matches(" (proc-macro)").to_owned(),
            license: license.trim_end_matches(" (*)").to_owned(),
        });
    }
    Ok(packages)
}

/// The compiler links it into every module, with the crates it is made of.
fn standard_library() -> Result<Package> {
    let text = fs::read_to_string(TOOLCHAIN).with_context(|| format!("cannot read {TOOLCHAIN}"))?;
    let channel =
        text.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'));
    Ok(Package {
        name: "Rust standard library".to_owned(),
        version: channel.with_context(|| format!("{TOOLCHAIN} names a channel"))?.to_owned(),
        license: "MIT OR Apache-2.0".to_owned(),
    })
}

/// Packages whose code the build takes into the npm package, and theirs. What the sources import is
/// the truth; that npm calls some of them development dependencies is not.
fn npm_packages() -> Result<BTreeSet<Package>> {
    let lock: Value = serde_json::from_str(&fs::read_to_string(LOCK)?).context(LOCK)?;
    let locked = locked(&lock);
    let mut found = BTreeSet::new();
    let mut pending = imports_of_sources()?;
    while let Some(name) = pending.pop() {
        let entry = locked.get(name.as_str()).with_context(|| format!("{LOCK} lacks {name}"))?;
        let field = |key: &str| entry[key].as_str().unwrap_or("unknown").to_owned();
        let package = Package { name, version: field("version"), license: field("license") };
        if found.insert(package) {
            pending.extend(dependencies(entry));
        }
    }
    Ok(found)
}

/// Names of the packages that the sources of the npm package import.
fn imports_of_sources() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in WalkDir::new(SOURCES).sort_by_file_name() {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "ts") {
            let text = fs::read_to_string(entry.path())?;
            names.extend(text.lines().filter_map(imported_package));
        }
    }
    Ok(names)
}

/// `cborg` of `import { decode } from "cborg/json";`. Relative imports, modules of the runtime and
/// types ship nothing.
fn imported_package(line: &str) -> Option<String> {
    let statement = line.trim_start();
    let is_type = statement.starts_with("import type ") || statement.starts_with("export type ");
    let (head, rest) = statement.split_once("from \"").or(statement.split_once("import \""))?;
    let module = rest.split('"').next()?;
    let runtime = module.starts_with('.') || module.contains(':') || module.starts_with('#');
    let is_statement =
        head.is_empty() || ["import ", "export ", "} "].iter().any(|word| head.starts_with(word));
    if is_type || runtime || !is_statement {
        return None;
    }
    let parts = if module.starts_with('@') { 2 } else { 1 };
    Some(module.split('/').take(parts).collect::<Vec<_>>().join("/"))
}

fn locked(lock: &Value) -> BTreeMap<&str, &Value> {
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages
        .filter_map(|(path, entry)| Some((path.strip_prefix("node_modules/")?, entry)))
        .collect()
}

fn dependencies(manifest: &Value) -> Vec<String> {
    let dependencies = manifest["dependencies"].as_object().into_iter().flatten();
    dependencies.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_name_the_package_that_ships() {
        let package = |line| imported_package(line);
        assert_eq!(package("import { decode } from \"cborg/json\";").unwrap(), "cborg");
        assert_eq!(package("} from \"@scope/name/part\";").unwrap(), "@scope/name");
        assert_eq!(package("import \"polyfill\";").unwrap(), "polyfill");
        assert_eq!(package("import { a } from \"./a.js\";"), None);
        assert_eq!(package("import type { A } from \"types\";"), None);
        assert_eq!(package("import { readFile } from \"node:fs\";"), None);
        assert_eq!(package("const text = `taken from \"here\"`;"), None);
    }

    #[test]
    fn crates_are_listed_once_with_their_license() {
        let tree = "tabmq v0.1.0 (somewhere)|MIT OR Apache-2.0\n\
                    minicbor v2.3.1|BlueOak-1.0.0\n\
                    minicbor v2.3.1|BlueOak-1.0.0 (*)\n";
        let minicbor = Package {
            name: "minicbor".to_owned(),
            version: "2.3.1".to_owned(),
            license: "BlueOak-1.0.0".to_owned(),
        };
        assert_eq!(parse_tree(tree).unwrap(), BTreeSet::from([minicbor]));
    }
}
