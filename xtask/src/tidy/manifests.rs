//! What the manifests of the packages must agree on.

use serde_json::Value;

use super::Finding;
use super::tree::{SourceFile, Tree};

const LICENSE: &str = "MIT OR Apache-2.0";
const WORKSPACE: &str = "Cargo.toml";
const PACKAGE: &str = "pkg/package.json";
const CHANGELOG: &str = "CHANGELOG.md";

const SAME: &str = "write the version of [workspace.package] in Cargo.toml; it is the one place";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = check_licenses(tree);
    let Some(version) = text(tree, WORKSPACE).and_then(workspace_version) else {
        findings.push(Finding::new(WORKSPACE, 0, "no [workspace.package] version", SAME));
        return findings;
    };
    if let Some(package) = text(tree, PACKAGE).and_then(parse)
        && package["version"].as_str() != Some(version)
    {
        let what = format!("the version is not {version}");
        findings.push(Finding::new(PACKAGE, 0, what, SAME));
    }
    if let Some(changes) = text(tree, CHANGELOG)
        && !changes.lines().any(|line| line.starts_with("## ") && line.contains(version))
    {
        let what = format!("no heading for {version}");
        findings.push(Finding::new(CHANGELOG, 0, what, "tell what this version brings"));
    }
    findings
}

fn check_licenses(tree: &Tree) -> Vec<Finding> {
    let is_manifest =
        |file: &SourceFile| file.path == "package.json" || file.path.ends_with("/package.json");
    let judge = |(path, text): (&str, &str)| {
        let license =
            parse(text).and_then(|manifest| Some(manifest["license"].as_str()? == LICENSE));
        let what = format!("the field license is not {LICENSE:?}");
        (license != Some(true)).then(|| Finding::new(path, 0, what, "state the license"))
    };
    tree.texts(is_manifest).filter_map(judge).collect()
}

fn text<'a>(tree: &'a Tree, path: &str) -> Option<&'a str> {
    tree.get(path)?.text.as_deref()
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The version in the section `[workspace.package]`.
fn workspace_version(manifest: &str) -> Option<&str> {
    let (_, section) = manifest.split_once("[workspace.package]")?;
    let section = section.split("\n[").next()?;
    section.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO: &str = "[workspace]\n\n[workspace.package]\nversion = \"0.1.0\"\n\n[package]\n";

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = vec![(WORKSPACE, CARGO)];
        all.extend(files);
        check(&Tree::of(&all)).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn versions_agree() {
        let package = |version| format!("{{\"version\":\"{version}\",\"license\":\"{LICENSE}\"}}");
        assert_eq!(findings(&[(PACKAGE, &package("0.1.0"))]), [""; 0]);
        assert_eq!(findings(&[(PACKAGE, &package("0.1.1"))]), [PACKAGE]);
        assert_eq!(findings(&[(CHANGELOG, "# Changes\n\n## 0.1.0\n")]), [""; 0]);
        assert_eq!(findings(&[(CHANGELOG, "# Changes\n0.1.0\n")]), [CHANGELOG]);
    }

    #[test]
    fn every_package_states_its_license() {
        assert_eq!(findings(&[("www/package.json", "{}")]), ["www/package.json"]);
    }
}
