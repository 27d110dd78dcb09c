//! Links of the documents: files and anchors they name must exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::Finding;
use super::tree::Tree;

const FIX_FILE: &str = "link to a file of the checkout, by its path relative to this document";
const FIX_ANCHOR: &str = "link to a heading of that document, as GitHub spells its anchor";

/// What one document holds.
#[derive(Default)]
struct Document {
    anchors: BTreeSet<String>,
    /// Targets and the lines where they stand.
    links: Vec<(String, usize)>,
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let is_document = |file: &super::tree::SourceFile| file.extension() == "md";
    let documents: BTreeMap<&str, Document> =
        tree.texts(is_document).map(|(path, text)| (path, read(text))).collect();
    let mut findings = Vec::new();
    for (path, document) in &documents {
        for (target, line) in &document.links {
            findings.extend(judge(tree, &documents, path, target, *line));
        }
    }
    findings
}

fn judge(
    tree: &Tree,
    documents: &BTreeMap<&str, Document>,
    path: &str,
    target: &str,
    line: usize,
) -> Option<Finding> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
    let found = |what: &str, fix| Some(Finding::new(path, line, format!("{what}: {target}"), fix));
    let Some(file) = resolve(path, file) else {
        return found("the link leaves the checkout", FIX_FILE);
    };
    if !tree.has(&file) {
        return found("the link leads nowhere", FIX_FILE);
    }
    let document = documents.get(file.as_str())?;
    if anchor.is_some_and(|anchor| !document.anchors.contains(anchor)) {
        return found("the anchor does not exist", FIX_ANCHOR);
    }
    None
}

/// `file` as seen from the document `from`, relative to the root; nothing if it lies outside.
fn resolve(from: &str, file: &str) -> Option<String> {
    if file.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = Vec::new();
    if !file.starts_with('/') {
        let directory = Path::new(from).parent().and_then(Path::to_str).unwrap_or("");
        parts.extend(directory.split('/').filter(|part| !part.is_empty()));
    }
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn read(text: &str) -> Document {
    let mut document = Document::default();
    let mut heading: Option<String> = None;
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let title = heading.take().unwrap_or_default();
                add_anchor(&mut document.anchors, &slug(&title));
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(title) = &mut heading {
                    title.push_str(&part);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let line = text[..range.start].matches('\n').count() + 1;
                document.links.push((dest_url.into_string(), line));
            }
            _ => {}
        }
    }
    document
}

/// A second heading of the same name gets `-1`, and so on.
fn add_anchor(anchors: &mut BTreeSet<String>, slug: &str) {
    let mut name = slug.to_owned();
    let mut number = 0;
    while !anchors.insert(name) {
        number += 1;
        name = format!("{slug}-{number}");
    }
}

/// The anchor GitHub makes of a heading: lower case, spaces to hyphens, punctuation gone.
fn slug(title: &str) -> String {
    let keep = |character: char| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    };
    title.to_lowercase().chars().filter_map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_texts(files: &[(&str, &str)]) -> Vec<(String, usize, String)> {
        let tell = |finding: Finding| (finding.path, finding.line, finding.what);
        check(&Tree::of(files)).into_iter().map(tell).collect()
    }

    #[test]
    fn links_to_files_directories_and_anchors_resolve() {
        let readme =
            "# tabmq\n[a](docs/a.md#one-two) [b](#tabmq) [c](docs) [d](https://a.example)\n";
        let document = "# One, `two`!\n[back](../README.md) [license](/LICENSE)\n";
        let files = [("README.md", readme), ("docs/a.md", document), ("LICENSE", "")];
        assert_eq!(check_texts(&files), []);
    }

    #[test]
    fn broken_links_are_told_with_their_line() {
        let text = "# A\n\n[x](b.md)\n[y](#b)\n\n[z](../../c.md)\n";
        let tell = |line, what: &str| ("docs/a.md".to_owned(), line, what.to_owned());
        assert_eq!(
            check_texts(&[("docs/a.md", text)]),
            [
                tell(3, "the link leads nowhere: b.md"),
                tell(4, "the anchor does not exist: #b"),
                tell(6, "the link leaves the checkout: ../../c.md"),
            ]
        );
    }

    #[test]
    fn headings_of_one_name_are_numbered() {
        let text = "# A\n# A\n[x](#a-1)\n[y](#a-2)\n";
        assert_eq!(check_texts(&[("docs/a.md", text)]).len(), 1);
    }
}
