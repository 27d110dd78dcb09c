//! Budgets of lines per file and per function. Inline test modules do not count for the file.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, bail};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::ratchet::{self, Key, Ratchet};
use super::tree::{Rust, SourceFile, Tree};

const RATCHET: &str = "xtask/ratchet.txt";
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

const SPLIT: &str = "split it along the parts that have a name of their own";

/// A measured length.
struct Measure {
    key: Key,
    line: usize,
    lines: usize,
    budget: usize,
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let text = tree.get(RATCHET).and_then(|file| file.text.as_deref()).unwrap_or("");
    match ratchet::parse(text) {
        Ok(ratchet) => compare(&measure(tree), &ratchet),
        Err(line) => {
            let form = "write `file PATH LINES` or `function PATH NAME LINES`";
            vec![Finding::new(RATCHET, line, "not an entry of the ratchet", form)]
        }
    }
}

/// Lowers entries of the ratchet file and drops those that are no longer needed.
pub fn tighten(tree: &Tree) -> Result<()> {
    let text = tree.get(RATCHET).and_then(|file| file.text.as_deref()).unwrap_or("");
    let Ok(ratchet) = ratchet::parse(text) else {
        bail!("{RATCHET} holds a line that is not an entry");
    };
    let needed = needed(&measure(tree));
    let lowered = ratchet
        .into_iter()
        .filter_map(|(key, allowed)| Some((key.clone(), allowed.min(*needed.get(&key)?))))
        .collect();
    Ok(fs::write(RATCHET, ratchet::render(text, &lowered))?)
}

fn compare(measures: &[Measure], ratchet: &Ratchet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Measure { key, line, lines, budget } in measures {
        let allowed = ratchet.get(key).copied().unwrap_or(*budget);
        if *lines > allowed.max(*budget) {
            let what = format!("{key} has {lines} lines, {allowed} is the most");
            findings.push(Finding::new(&key.path, *line, what, SPLIT));
        }
    }
    let needed = needed(measures);
    for (key, allowed) in ratchet {
        if needed.get(key).is_none_or(|lines| lines < allowed) {
            let what = format!("`{key} {allowed}` allows more than is needed");
            let instead = "run cargo xtask tidy --tighten";
            findings.push(Finding::new(RATCHET, 0, what, instead));
        }
    }
    findings
}

/// What exceeds its budget; of several functions of one name, the longest.
fn needed(measures: &[Measure]) -> BTreeMap<Key, usize> {
    let mut needed = BTreeMap::new();
    for measure in measures.iter().filter(|measure| measure.lines > measure.budget) {
        let lines: &mut usize = needed.entry(measure.key.clone()).or_default();
        *lines = measure.lines.max(*lines);
    }
    needed
}

fn measure(tree: &Tree) -> Vec<Measure> {
    let mut measures = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_source()) {
        let lines = file.text.as_deref().map_or(0, |text| text.lines().count());
        measures.push(Measure {
            key: Key { path: file.path.clone(), function: None },
            line: 0,
            lines: lines - test_lines(file),
            budget: FILE_LINES_MAX,
        });
    }
    for (path, _, file) in tree.rust() {
        let mut functions = Functions { path, owner: None, measures: &mut measures };
        functions.visit_file(file);
    }
    measures
}

/// Lines of `mod tests { .. }` at the top level.
fn test_lines(file: &SourceFile) -> usize {
    let Some(Rust::Parsed { file, .. }) = &file.rust else {
        return 0;
    };
    let length = |item: &syn::Item| match item {
        syn::Item::Mod(module) if module.ident == "tests" && module.content.is_some() => {
            module.span().end().line - module.span().start().line + 1
        }
        _ => 0,
    };
    file.items.iter().map(length).sum()
}

/// Collects the lengths of functions, from `fn` to the closing brace.
struct Functions<'a> {
    path: &'a str,
    /// The type or trait around the function.
    owner: Option<String>,
    measures: &'a mut Vec<Measure>,
}

impl Functions<'_> {
    fn push(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        let name = signature.ident.to_string();
        let function = match &self.owner {
            Some(owner) => format!("{owner}::{name}"),
            None => name,
        };
        self.measures.push(Measure {
            key: Key { path: self.path.to_owned(), function: Some(function) },
            line,
            lines: block.span().end().line - line + 1,
            budget: FUNCTION_LINES_MAX,
        });
    }

    fn inside(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.push(&item.sig, &item.block);
        self.inside(None, |inner| visit::visit_item_fn(inner, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.push(&item.sig, &item.block);
        self.inside(None, |inner| visit::visit_impl_item_fn(inner, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.push(&item.sig, block);
        }
        self.inside(None, |inner| visit::visit_trait_item_fn(inner, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.inside(owner, |inner| visit::visit_item_impl(inner, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let owner = Some(item.ident.to_string());
        self.inside(owner, |inner| visit::visit_item_trait(inner, item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("impl Broker {{\nfn poll() {{\n{}}}\n}}\n", "a();\n".repeat(lines - 2))
    }

    fn check_with(ratchet: &str, source: &str) -> Vec<String> {
        let tree = Tree::of(&[(RATCHET, ratchet), ("src/broker/mod.rs", source)]);
        check(&tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_function_over_its_budget_is_found() {
        assert_eq!(check_with("", &function(70)), [""; 0]);
        assert_eq!(
            check_with("", &function(71)),
            ["function src/broker/mod.rs Broker::poll has 71 lines, 70 is the most"]
        );
    }

    #[test]
    fn a_file_over_its_budget_is_found() {
        assert_eq!(check_with("", &"// a\n".repeat(500)), [""; 0]);
        assert_eq!(check_with("", &"// a\n".repeat(501)).len(), 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// a\n".repeat(600));
        assert_eq!(check_with("", &tests), [""; 0]);
    }

    #[test]
    fn exceptions_hold_but_do_not_grow() {
        let ratchet = "function src/broker/mod.rs Broker::poll 80\n";
        assert_eq!(check_with(ratchet, &function(80)), [""; 0]);
        assert_eq!(check_with(ratchet, &function(81)).len(), 1);
    }

    #[test]
    fn exceptions_that_are_too_wide_are_found() {
        let ratchet = "function src/broker/mod.rs Broker::poll 80\n";
        assert_eq!(check_with(ratchet, &function(79)).len(), 1);
        assert_eq!(check_with(ratchet, &function(10)).len(), 1);
    }
}
