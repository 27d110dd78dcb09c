//! Names that a layer must not use.

use super::tokens::{flatten, lines_of};
use super::tree::Tree;
use super::{Finding, layers};

/// A sequence of tokens and what to write in its place.
struct Ban {
    name: &'static str,
    tokens: &'static [&'static str],
    instead: &'static str,
}

const fn ban(name: &'static str, tokens: &'static [&'static str], instead: &'static str) -> Ban {
    Ban { name, tokens, instead }
}

const TIME: &str = "take `crate::time::Now` as an argument; the host reads the clock";
const ORDER: &str = "use BTreeMap, BTreeSet or Vec: the same inputs must give the same outputs";
const BROWSER: &str = "return an effect; only src/web and src/js name the browser";
const PRINT: &str = "return an event or a value; the core performs no I/O";

/// Bans of everything outside `src/web` and `src/js`.
const CORE: &[Ban] = &[
    ban("web_sys", &["web_sys"], BROWSER),
    ban("js_sys", &["js_sys"], BROWSER),
    ban("wasm_bindgen", &["wasm_bindgen"], BROWSER),
    ban("SystemTime", &["SystemTime"], TIME),
    ban("std::time::Instant", &["std", ":", ":", "time", ":", ":", "Instant"], TIME),
    ban("std::time::{..}", &["std", ":", ":", "time", ":", ":", "{"], TIME),
    ban("std::time", &["std", ":", ":", "time", ";"], TIME),
    ban("HashMap", &["HashMap"], ORDER),
    ban("HashSet", &["HashSet"], ORDER),
    ban("async", &["async"], "take an input and return effects; hosts wait, the core does not"),
    ban("Rc<RefCell", &["Rc", "<", "RefCell"], "give the data one owner and pass `&mut` or an id"),
    ban("println!", &["println", "!"], PRINT),
    ban("print!", &["print", "!"], PRINT),
    ban("eprintln!", &["eprintln", "!"], PRINT),
    ban("eprint!", &["eprint", "!"], PRINT),
    ban("unsafe", &["unsafe"], "the core is safe Rust; find a safe way or a well-kept crate"),
];

/// Bans of all shipped code.
const SHIPPED: &[Ban] = &[
    ban(
        ".forget()",
        &[".", "forget", "("],
        "let a struct own the closure and drop it with its listener",
    ),
    ban("mem::forget", &["mem", ":", ":", "forget"], "let the value drop"),
    ban("dbg!", &["dbg", "!"], "remove it"),
    ban(
        "std::process",
        &["std", ":", ":", "process"],
        "return an error; the host decides what ends",
    ),
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, stream, _) in tree.rust() {
        let Some(layer) = layers::layer_of(path) else {
            continue;
        };
        let tokens = flatten(stream);
        let core = if matches!(layer, "web" | "js") { &[] } else { CORE };
        for Ban { name, tokens: pattern, instead } in core.iter().chain(SHIPPED) {
            for line in lines_of(&tokens, pattern) {
                let what = format!("`{name}` is banned in src/{layer}");
                findings.push(Finding::new(path, line, what, instead));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = check(&Tree::of(&[(path, text)]));
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn core_has_no_clock_browser_or_unordered_map() {
        let text = "use std::collections::{BTreeMap, HashMap};\n\
                    use std::time::Instant;\n\
                    async fn wait() {}\n\
                    fn f(shared: Rc<RefCell<u8>>) { println!(\"\"); }\n\
                    use web_sys::Window;\n";
        let lines: Vec<usize> = check_text("src/broker/mod.rs", text).iter().map(|f| f.0).collect();
        assert_eq!(lines, [5, 2, 1, 3, 4, 4]);
    }

    #[test]
    fn durations_and_comments_are_free() {
        let text = "//! No HashMap here, and no async.\nuse std::time::Duration;\n";
        assert_eq!(check_text("src/time.rs", text), []);
    }

    #[test]
    fn the_browser_layer_may_name_the_browser_but_not_forget() {
        let text = "use web_sys::Window;\nasync fn f() { closure.forget(); }\n";
        assert_eq!(check_text("src/web/timer.rs", text).len(), 1);
        assert_eq!(check_text("xtask/src/main.rs", text), []);
    }
}
