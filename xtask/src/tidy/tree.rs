//! The files tidy looks at, read once.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::TokenStream;
use walkdir::{DirEntry, WalkDir};

use super::Finding;

/// Not written by hand, or not part of the repository.
const SKIPPED: [&str; 7] =
    ["target", "node_modules", "dist", ".git", "pkg/wasm", "pkg/wasm-edge", "pkg/wasm-sim"];

/// Every file of the repository.
pub struct Tree {
    pub files: Vec<SourceFile>,
}

pub struct SourceFile {
    /// Relative to the root, with `/`.
    pub path: String,
    pub bytes: u64,
    /// Absent if the file is not UTF-8.
    pub text: Option<String>,
    pub rust: Option<Rust>,
}

/// A Rust file, parsed.
pub enum Rust {
    Parsed { tokens: TokenStream, file: syn::File },
    Broken { line: usize, message: String },
}

impl Tree {
    pub fn read() -> Result<Self> {
        let mut files = Vec::new();
        let walk = WalkDir::new(".").sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| !is_skipped(entry)) {
            let entry = entry?;
            if entry.file_type().is_file() {
                let bytes = fs::read(entry.path())
                    .with_context(|| format!("cannot read {}", entry.path().display()))?;
                files.push(SourceFile::new(&relative(entry.path()), bytes));
            }
        }
        Ok(Self { files })
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| SourceFile::new(path, text.as_bytes().to_vec());
        Self { files: files.iter().map(file).collect() }
    }

    pub fn get(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// True for a file and for a directory that holds one.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files.iter().any(|file| {
                file.path
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// Files of which `keep` holds and that are text, with their text.
    pub fn texts(&self, keep: impl Fn(&SourceFile) -> bool) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |file| keep(file))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    /// Parsed Rust files.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &TokenStream, &syn::File)> {
        self.files.iter().filter_map(|source| match source.rust.as_ref()? {
            Rust::Parsed { tokens, file } => Some((source.path.as_str(), tokens, file)),
            Rust::Broken { .. } => None,
        })
    }
}

impl SourceFile {
    fn new(path: &str, bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        let text = String::from_utf8(bytes).ok();
        let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
        let rust = text.as_deref().filter(|_| is_rust).map(parse);
        Self { path: path.to_owned(), bytes: size, text, rust }
    }

    /// The extension, or nothing.
    pub fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|extension| extension.to_str()).unwrap_or("")
    }

    /// Text written by people in a language with code style.
    pub fn is_source(&self) -> bool {
        const EXTENSIONS: [&str; 10] =
            ["rs", "ts", "tsx", "js", "mjs", "css", "html", "toml", "sh", "vue"];
        EXTENSIONS.contains(&self.extension()) || self.path == ".ci/run"
    }
}

/// A Rust file that does not parse escapes every other rule, so it is a finding itself.
pub fn check_syntax(tree: &Tree) -> Vec<Finding> {
    let broken = |file: &SourceFile| match file.rust.as_ref()? {
        Rust::Broken { line, message } => {
            let what = format!("does not parse: {message}");
            Some(Finding::new(&file.path, *line, what, "write Rust that this compiler accepts"))
        }
        Rust::Parsed { .. } => None,
    };
    tree.files.iter().filter_map(broken).collect()
}

fn parse(text: &str) -> Rust {
    let parsed = text
        .parse::<TokenStream>()
        .map_err(syn::Error::from)
        .and_then(|tokens| Ok((tokens, syn::parse_file(text)?)));
    match parsed {
        Ok((tokens, file)) => Rust::Parsed { tokens, file },
        Err(error) => Rust::Broken { line: error.span().start().line, message: error.to_string() },
    }
}

fn is_skipped(entry: &DirEntry) -> bool {
    let path = relative(entry.path());
    SKIPPED.iter().any(|skipped| path == *skipped || entry.file_name() == *skipped)
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_parse_is_a_finding() {
        let tree = Tree::of(&[("src/a.rs", "fn a() {}\nfn b( {}\n"), ("src/b.rs", "fn b() {}\n")]);
        let findings = check_syntax(&tree);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "src/a.rs");
    }

    #[test]
    fn directories_are_known_by_their_files() {
        let tree = Tree::of(&[("docs/a.md", "")]);
        assert!(tree.has("docs"));
        assert!(tree.has("docs/a.md"));
        assert!(!tree.has("doc"));
    }
}
