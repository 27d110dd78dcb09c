//! Rules about lines of text.

use std::sync::LazyLock;

use super::Finding;
use super::tree::{SourceFile, Tree};

const LINE_COLUMNS_MAX: usize = 100;
const README_LINES_MAX: usize = 200;
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Locked by machines, so neither their size nor their lines are ours.
const LOCK_FILES: [&str; 2] = ["package-lock.json", "Cargo.lock"];

/// Ways to sleep in Rust and in JavaScript.
const SLEEPS: [&str; 4] =
    ["thread::sleep", "timers/promises", "setTimeout(resolve", "(resolve) => setTimeout("];

const SHORTEN: &str = "break the line, or name a part of it";

/// The words are put together here, or this file would be its own finding.
static MARKERS: LazyLock<[String; 4]> =
    LazyLock::new(|| [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]].map(|w| w.concat()));

static SKIPS: LazyLock<Vec<String>> = LazyLock::new(skip_patterns);

static PLACES: LazyLock<[String; 5]> = LazyLock::new(|| {
    [["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"], ["/wo", "rk/"], ["../sh", "ared"]]
        .map(|parts| parts.concat())
});

pub fn check_line_length(tree: &Tree) -> Vec<Finding> {
    each_line(tree, SourceFile::is_source, |line| {
        let columns = line.chars().count();
        (columns > LINE_COLUMNS_MAX)
            .then(|| (format!("{columns} columns, {LINE_COLUMNS_MAX} is the most"), SHORTEN))
    })
}

pub fn check_characters(tree: &Tree) -> Vec<Finding> {
    each_line(tree, SourceFile::is_source, |line| {
        let bad = line.chars().find(|character| !matches!(character, ' '..='~'))?;
        let what = format!("the character U+{:04X} in a source", u32::from(bad));
        Some((what, "write ASCII, or an escape such as \\u{2026}"))
    })
}

/// `TODO(name): ...` says who will do it; a marker with no name says that nobody will.
pub fn check_owners(tree: &Tree) -> Vec<Finding> {
    each_line(
        tree,
        |file| file.is_source() || file.extension() == "md",
        |line| {
            let marker = MARKERS.iter().find(|marker| has_unowned(line, marker))?;
            Some((
                format!("{marker} with no owner"),
                "do it, or name who will, in parentheses after it",
            ))
        },
    )
}

pub fn check_skipped_tests(tree: &Tree) -> Vec<Finding> {
    each_line(tree, SourceFile::is_source, |line| {
        let skip = SKIPS.iter().find(|skip| has_word(line, skip))?;
        Some((format!("`{skip}` leaves tests out"), "run the test, or delete it"))
    })
}

/// A test waits for what it needs, not for a time that is long enough today.
pub fn check_sleeping_tests(tree: &Tree) -> Vec<Finding> {
    let is_test = |file: &SourceFile| {
        let rust = file.extension() == "rs" && !file.path.starts_with("xtask/");
        rust || file.path.contains(".test.")
    };
    each_line(tree, is_test, |line| {
        let sleep = SLEEPS.iter().find(|sleep| has_word(line, sleep))?;
        Some((format!("`{sleep}` sleeps"), "wait for the event, or advance simulated time"))
    })
}

/// What works only on the machine of its author.
pub fn check_places(tree: &Tree) -> Vec<Finding> {
    each_line(
        tree,
        |_| true,
        |line| {
            let place = PLACES.iter().find(|place| has_word(line, place))?;
            Some((format!("the path {place}"), "use a path relative to the checkout"))
        },
    )
}

pub fn check_large_files(tree: &Tree) -> Vec<Finding> {
    let large = |file: &&SourceFile| {
        file.bytes > FILE_BYTES_MAX && !LOCK_FILES.contains(&file.path.as_str())
    };
    let describe = |file: &SourceFile| {
        let what = format!("{} bytes, {FILE_BYTES_MAX} is the most", file.bytes);
        Finding::new(&file.path, 0, what, "generate it in the build, or take it from a package")
    };
    tree.files.iter().filter(large).map(describe).collect()
}

pub fn check_readme(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.get("README.md").and_then(|file| file.text.as_deref()) else {
        return Vec::new();
    };
    let lines = text.lines().count();
    if lines <= README_LINES_MAX {
        return Vec::new();
    }
    let what = format!("{lines} lines, {README_LINES_MAX} is the most");
    vec![Finding::new("README.md", lines, what, "move the detail to docs/ and link to it")]
}

fn each_line(
    tree: &Tree,
    keep: impl Fn(&SourceFile) -> bool,
    judge: impl Fn(&str) -> Option<(String, &'static str)>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let keep = |file: &SourceFile| keep(file) && !LOCK_FILES.contains(&file.path.as_str());
    for (path, text) in tree.texts(keep) {
        for (index, line) in text.lines().enumerate() {
            if let Some((what, instead)) = judge(line) {
                findings.push(Finding::new(path, index + 1, what, instead));
            }
        }
    }
    findings
}

/// True if `marker` stands in the line as a word and no `(name)` follows.
fn has_unowned(line: &str, marker: &str) -> bool {
    line.match_indices(marker).any(|(start, _)| {
        let end = start + marker.len();
        let word = !ends_in_word(&line[..start]) && !starts_in_word(&line[end..]);
        let owner = line[end..].strip_prefix('(').and_then(|rest| rest.split_once(')'));
        word && owner.is_none_or(|(name, _)| name.trim().is_empty())
    })
}

/// True if `pattern` stands in the line and is not the end of a longer word or path.
fn has_word(line: &str, pattern: &str) -> bool {
    line.match_indices(pattern).any(|(start, _)| !ends_in_word(&line[..start]))
}

fn ends_in_word(text: &str) -> bool {
    text.chars()
        .next_back()
        .is_some_and(|character| character.is_alphanumeric() || character == '_')
}

fn starts_in_word(text: &str) -> bool {
    text.chars().next().is_some_and(|character| character.is_alphanumeric() || character == '_')
}

/// The forms in which Rust, `node:test` and its relatives leave a test out.
fn skip_patterns() -> Vec<String> {
    let mut patterns = vec![["#[ign", "ore"].concat()];
    for runner in ["it", "test", "describe", "suite"] {
        for kind in ["skip", "only", "todo"] {
            patterns.push(format!("{runner}.{kind}("));
        }
    }
    for word in ["xit", "xdescribe", "xtest", "fit", "fdescribe", "t.skip", "t.todo"] {
        patterns.push(format!("{word}("));
    }
    for option in ["skip", "only", "todo"] {
        patterns.push(format!("{option}: true"));
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn long_lines_and_foreign_characters_are_found() {
        let text = format!("{}\n{}\ncaf\u{e9}\n", "a".repeat(100), "a".repeat(101));
        assert_eq!(lines(check_line_length, "src/a.rs", &text), [2]);
        assert_eq!(lines(check_characters, "src/a.rs", &text), [3]);
        assert_eq!(lines(check_characters, "docs/a.md", &text), [0; 0]);
    }

    #[test]
    fn markers_need_an_owner() {
        let marker = MARKERS[0].as_str();
        let text =
            format!("// {marker}: later\n// {marker}(ada): later\n// {marker}S\n{marker}()\n");
        assert_eq!(lines(check_owners, "src/a.rs", &text), [1, 4]);
    }

    #[test]
    fn tests_are_not_left_out() {
        let text = SKIPS.iter().map(|skip| format!("  {skip}\n")).collect::<String>();
        assert_eq!(lines(check_skipped_tests, "a.test.ts", &text).len(), SKIPS.len());
        let free = "await it(\"x\");\nbenefit(1);\ntest(\"skip\", run);\nsplit(1);\n";
        assert_eq!(lines(check_skipped_tests, "a.test.ts", free), [0; 0]);
    }

    #[test]
    fn tests_do_not_sleep() {
        let text = "await new Promise((resolve) => setTimeout(resolve, 100));\n";
        assert_eq!(lines(check_sleeping_tests, "pkg/test/a.test.ts", text), [1]);
        assert_eq!(lines(check_sleeping_tests, "pkg/src/a.ts", text), [0; 0]);
        assert_eq!(lines(check_sleeping_tests, "tests/a.rs", "std::thread::sleep(x);\n"), [1]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let [root, home, ..] = &*PLACES;
        let text = format!("cd {root}x\nsrc{home}x\n\"{home}me\"\n");
        assert_eq!(lines(check_places, "docs/a.md", &text), [1, 3]);
    }

    #[test]
    fn large_files_are_found_except_locks() {
        let text = "a\n".repeat(200 * 1024);
        assert_eq!(lines(check_large_files, "docs/a.csv", &text), [0]);
        assert_eq!(lines(check_large_files, "package-lock.json", &text), [0; 0]);
    }

    #[test]
    fn the_readme_is_short() {
        assert_eq!(lines(check_readme, "README.md", &"\n".repeat(200)), [0; 0]);
        assert_eq!(lines(check_readme, "README.md", &"\n".repeat(201)), [201]);
    }
}
