//! The direction of dependencies between the modules of the crate.

use std::collections::BTreeSet;

use super::Finding;
use super::tokens::{Token, flatten};
use super::tree::Tree;

/// A module below `src/` and the modules it may name, besides itself.
struct Layer {
    name: &'static str,
    sees: &'static [&'static [&'static str]],
}

/// No order among these: they hold no logic of the broker.
const BASE: &[&str] = &[
    "time", "id", "limits", "rng", "error", "rules", "store", "options", "cbor", "cron", "sorted",
    "marks",
];
const CORE: &[&str] = &["wire", "topic", "log"];
const PARTS: &[&str] = &["broker", "client"];

/// From the bottom to the top. The broker and the client never see each other; the wire does not
/// know the log.
const LAYERS: &[Layer] = &[
    Layer { name: "time", sees: &[BASE] },
    Layer { name: "id", sees: &[BASE] },
    Layer { name: "limits", sees: &[BASE] },
    Layer { name: "rng", sees: &[BASE] },
    Layer { name: "error", sees: &[BASE] },
    Layer { name: "rules", sees: &[BASE] },
    Layer { name: "store", sees: &[BASE] },
    Layer { name: "options", sees: &[BASE] },
    Layer { name: "cbor", sees: &[BASE] },
    Layer { name: "cron", sees: &[BASE] },
    Layer { name: "sorted", sees: &[BASE] },
    Layer { name: "marks", sees: &[BASE] },
    Layer { name: "topic", sees: &[BASE] },
    Layer { name: "wire", sees: &[BASE, &["topic"]] },
    Layer { name: "log", sees: &[BASE, &["wire", "topic"]] },
    Layer { name: "broker", sees: &[BASE, CORE] },
    Layer { name: "client", sees: &[BASE, CORE] },
    Layer { name: "node", sees: &[BASE, CORE, PARTS] },
    Layer { name: "web", sees: &[BASE, CORE, PARTS, &["node"]] },
    // Of a hub the simulator runs the realms, which name no browser.
    Layer { name: "sim", sees: &[BASE, CORE, PARTS, &["node", "web"]] },
    Layer { name: "js", sees: &[BASE, CORE, PARTS, &["node", "web", "sim"]] },
];

const REGISTER: &str = "give the module its place in LAYERS of xtask/src/tidy/layers.rs";
const DIRECTION: &str = "move the shared part down, or pass it in from the layer above";

/// `broker` of `src/broker/session.rs`; nothing for the crate root and for files outside the crate.
pub fn layer_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    let name = rest.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "lib" && name != "bin").then_some(name)
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, stream, _) in tree.rust() {
        let Some(name) = layer_of(path) else {
            continue;
        };
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            findings.push(Finding::new(path, 0, format!("`{name}` has no layer"), REGISTER));
            continue;
        };
        let module = module_path(path);
        for (target, line) in crate_paths(&flatten(stream), module.len()) {
            findings.extend(judge(path, line, layer, &target));
        }
    }
    findings
}

fn judge(path: &str, line: usize, layer: &Layer, target: &str) -> Option<Finding> {
    let name = layer.name;
    if target == name || layer.sees.iter().any(|group| group.contains(&target)) {
        return None;
    }
    if LAYERS.iter().any(|layer| layer.name == target) {
        let what = format!("`{name}` must not see `{target}`");
        return Some(Finding::new(path, line, what, DIRECTION));
    }
    let what = format!("`crate::{target}` names no module");
    Some(Finding::new(path, line, what, "name the item by its module, not by a re-export"))
}

/// `["broker", "session"]` of `src/broker/session.rs`.
fn module_path(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').filter(|part| *part != "mod").collect()
}

/// Modules of the crate named by paths from `crate` and by `super` chains that reach the root, with
/// their lines. `depth` is the depth of the file's own module below the root.
fn crate_paths(tokens: &[Token], depth: usize) -> BTreeSet<(String, usize)> {
    let mut found = BTreeSet::new();
    let mut depth = depth;
    // Depths of braces that opened an inline module.
    let mut modules = Vec::new();
    let mut braces = 0;
    let mut index = 0;
    while index < tokens.len() {
        match tokens[index].text.as_str() {
            "{" => {
                braces += 1;
                let opens = index >= 2 && tokens[index - 2].text == "mod";
                if opens {
                    modules.push(braces);
                    depth += 1;
                }
            }
            "}" => {
                if modules.last() == Some(&braces) {
                    modules.pop();
                    depth -= 1;
                }
                braces -= 1;
            }
            "crate" => heads(tokens, index + 1, &mut found),
            "super" => {
                let ups = supers(tokens, index);
                if ups == depth {
                    heads(tokens, index + ups * 3 - 2, &mut found);
                }
                index += ups * 3 - 3;
            }
            _ => {}
        }
        index += 1;
    }
    found
}

/// The length of a chain `super::super::...` that starts at `index`.
fn supers(tokens: &[Token], index: usize) -> usize {
    let mut count = 1;
    while tokens.get(index + count * 3).is_some_and(|token| token.text == "super")
        && is_separator(tokens, index + count * 3 - 2)
    {
        count += 1;
    }
    count
}

/// Adds what follows `::` at `index`: one name, or the first names of a brace group.
fn heads(tokens: &[Token], index: usize, found: &mut BTreeSet<(String, usize)>) {
    if !is_separator(tokens, index) {
        return;
    }
    let Some(first) = tokens.get(index + 2) else {
        return;
    };
    if first.text != "{" {
        found.insert((first.text.clone(), first.line));
        return;
    }
    let mut nesting = 0;
    let mut expects_head = false;
    for token in &tokens[index + 2..] {
        match token.text.as_str() {
            "{" => nesting += 1,
            "}" => nesting -= 1,
            "," if nesting == 1 => {}
            text if nesting == 1 && expects_head && text != "}" => {
                found.insert((token.text.clone(), token.line));
            }
            _ => {}
        }
        if nesting == 0 {
            return;
        }
        expects_head = nesting == 1 && matches!(token.text.as_str(), "{" | ",");
    }
}

fn is_separator(tokens: &[Token], index: usize) -> bool {
    let colon = |index: usize| tokens.get(index).is_some_and(|token| token.text == ":");
    colon(index) && colon(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = check(&Tree::of(&[(path, text)]));
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn upward_and_sideways_paths_are_found() {
        let text = "use crate::time::Now;\n\
                    use crate::{\n    client::{Client, Event},\n    wire,\n};\n\
                    fn f() { assert!(crate::node::ready()); }\n";
        let findings = check_text("src/broker/session.rs", text);
        assert_eq!(
            findings,
            [
                (3, "`broker` must not see `client`".to_owned()),
                (6, "`broker` must not see `node`".to_owned()),
            ]
        );
    }

    #[test]
    fn the_wire_does_not_know_the_log() {
        assert_eq!(check_text("src/wire/mod.rs", "use crate::log::Chunk;").len(), 1);
        assert_eq!(check_text("src/log/mod.rs", "use crate::wire::Reader;"), []);
    }

    #[test]
    fn super_chains_that_reach_the_root_are_followed() {
        let text = "use super::super::client::Client;\nuse super::Session;\n\
                    mod tests { use super::*; use super::super::super::client::Client; }\n";
        let lines: Vec<usize> =
            check_text("src/broker/session.rs", text).iter().map(|finding| finding.0).collect();
        assert_eq!(lines, [1, 3]);
    }

    #[test]
    fn unknown_modules_and_re_exports_are_named() {
        assert_eq!(check_text("src/spare.rs", "").len(), 1);
        assert_eq!(check_text("src/client/mod.rs", "use crate::Now;").len(), 1);
        assert_eq!(check_text("src/lib.rs", "use crate::Now;"), []);
    }
}
