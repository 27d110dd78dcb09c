//! `docs/coverage.md`: one line for each behaviour that queues have to have, with the test that
//! shows it and the checker of the simulator that watches it.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

const PATH: &str = "docs/coverage.md";
/// Where the simulator's checkers are.
const CHECKERS: &str = "src/sim/";

/// Rows that have to be there: a letter and the numbers of it.
const ROWS: &[(char, &[u32])] = &[
    ('A', &[1, 20, 21]),
    ('B', &[5, 6, 7, 8, 10, 11]),
    ('C', &[1, 2, 3, 4, 7, 8, 10, 12]),
    ('D', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 20]),
    ('E', &[1, 2, 3, 4, 5, 6, 7, 8]),
    ('F', &[1, 2, 3, 4, 5, 6]),
    ('G', &[1, 2, 3, 4, 5, 6]),
    ('I', &[1, 2, 3, 4, 5, 6]),
    ('J', &[1, 3, 4, 5, 6]),
    ('M', &[1, 7]),
    ('X', &[1, 3, 10, 11, 14]),
];

const FIX_ROW: &str = "add `| id | behaviour | status | test | simulator |` in its place";
const FIX_STATUS: &str = "say yes, part or no";
const FIX_TEST: &str = "name an existing test as `path: title`, and more behind `<br>`";
const FIX_CHECKER: &str = "name a checker as it stands in src/sim, or -";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let texts: BTreeMap<&str, &str> = tree.texts(|_| true).collect();
    let Some(text) = texts.get(PATH) else {
        return vec![Finding::new(PATH, 0, "the file is not there", FIX_ROW)];
    };
    let rows: Vec<(usize, Vec<&str>)> = (1..).zip(text.lines().map(cells)).collect();
    let mut findings = Vec::new();
    for (letter, numbers) in ROWS {
        for number in *numbers {
            let id = format!("{letter}{number}");
            let mut found = rows.iter().filter(|(_, cells)| cells.first() == Some(&id.as_str()));
            match (found.next(), found.next()) {
                (Some((line, cells)), None) => findings.extend(judge(&texts, *line, cells)),
                (None, _) => {
                    findings.push(Finding::new(PATH, 0, format!("no line for {id}"), FIX_ROW));
                }
                (_, Some((line, _))) => {
                    findings.push(Finding::new(PATH, *line, format!("{id} again"), FIX_ROW));
                }
            }
        }
    }
    findings
}

pub(super) fn cells(line: &str) -> Vec<&str> {
    let inner = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
    inner.map(|inner| inner.split(" | ").map(str::trim).collect()).unwrap_or_default()
}

fn judge(texts: &BTreeMap<&str, &str>, line: usize, cells: &[&str]) -> Option<Finding> {
    let [_, _, status, tests, checker] = cells else {
        return Some(Finding::new(PATH, line, "not five cells", FIX_ROW));
    };
    match *status {
        "yes" | "part" => {}
        "no" => return None,
        other => return Some(Finding::new(PATH, line, format!("status {other}"), FIX_STATUS)),
    }
    let wrong = tests.split("<br>").find(|test| !is_test(texts, test));
    if let Some(test) = wrong {
        return Some(Finding::new(PATH, line, format!("no such test: {test}"), FIX_TEST));
    }
    let named = format!("\"{checker}\"");
    let is_checker =
        |(path, text): (&&str, &&str)| path.starts_with(CHECKERS) && text.contains(&named);
    if *checker != "-" && !texts.iter().any(is_checker) {
        return Some(Finding::new(PATH, line, format!("no checker {checker}"), FIX_CHECKER));
    }
    None
}

/// `path: title`: the title stands in a test of that file, as JavaScript or as Rust names it.
pub(super) fn is_test(texts: &BTreeMap<&str, &str>, test: &str) -> bool {
    let Some((path, title)) = test.split_once(": ") else { return false };
    let title = title.replace('`', "");
    texts.get(path).is_some_and(|text| {
        text.contains(&format!("test(\"{title}\"")) || text.contains(&format!("fn {title}()"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(row: &str) -> Option<String> {
        let texts = BTreeMap::from([
            ("pkg/test/a.test.mjs", "test(\"send: comes\", async () => {"),
            ("tests/broker/a.rs", "#[test]\nfn it_comes() {"),
            ("src/sim/model.rs", "const KEPT: &str = \"kept\";"),
        ]);
        judge(&texts, 1, &cells(row)).map(|finding| finding.what)
    }

    #[test]
    fn a_row_names_tests_and_checkers_that_exist() {
        let both = "pkg/test/a.test.mjs: send: comes<br>tests/broker/a.rs: it_comes";
        assert_eq!(judged(&format!("| A1 | queue | yes | {both} | kept |")), None);
        assert_eq!(judged("| A1 | queue | part | tests/broker/a.rs: it_comes | - |"), None);
        assert_eq!(judged("| A1 | queue | no |  |  |"), None);
    }

    #[test]
    fn what_does_not_exist_is_found() {
        let rows = [
            "| A1 | queue | yes | pkg/test/a.test.mjs: send: goes | - |",
            "| A1 | queue | yes | pkg/test/b.test.mjs: send: comes | - |",
            "| A1 | queue | yes | it_comes | - |",
            "| A1 | queue | yes | tests/broker/a.rs: it_comes | lost |",
            "| A1 | queue | perhaps | tests/broker/a.rs: it_comes | - |",
            "| A1 | queue | yes |",
        ];
        for row in rows {
            assert!(judged(row).is_some(), "{row}");
        }
    }
}
