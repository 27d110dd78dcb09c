//! `docs/platform.md`: one line for each trap of the platform, with the tests that show what is
//! done about it.

use std::collections::BTreeMap;

use super::Finding;
use super::coverage::{cells, is_test};
use super::tree::Tree;

const PATH: &str = "docs/platform.md";
const HEADER: &str = "| trap | what is done about it | shown | test |";

const FIX_HEADER: &str = "begin the table with `| trap | what is done about it | shown | test |`";
const FIX_ROW: &str = "write the four cells of the header";
const FIX_SHOWN: &str = "say yes, part or no";
const FIX_TEST: &str = "name an existing test as `path: title`, and more behind `<br>`";
const FIX_NONE: &str = "leave the cell of tests at - where nothing is shown";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let texts: BTreeMap<&str, &str> = tree.texts(|_| true).collect();
    check_texts(&texts)
}

fn check_texts(texts: &BTreeMap<&str, &str>) -> Vec<Finding> {
    let lines = texts.get(PATH).copied().unwrap_or_default().lines();
    let mut rows = (1..).zip(lines).skip_while(|(_, line)| *line != HEADER).skip(2).peekable();
    if rows.peek().is_none() {
        return vec![Finding::new(PATH, 0, "no table of traps", FIX_HEADER)];
    }
    let of_table = rows.take_while(|(_, line)| line.starts_with('|'));
    of_table.filter_map(|(number, line)| judge(texts, number, &cells(line))).collect()
}

fn judge(texts: &BTreeMap<&str, &str>, line: usize, cells: &[&str]) -> Option<Finding> {
    let [_, _, shown, tests] = cells else {
        return Some(Finding::new(PATH, line, "not four cells", FIX_ROW));
    };
    match *shown {
        "yes" | "part" => {
            let wrong = tests.split("<br>").find(|test| !is_test(texts, test))?;
            Some(Finding::new(PATH, line, format!("no such test: {wrong}"), FIX_TEST))
        }
        "no" if *tests == "-" => None,
        "no" => Some(Finding::new(PATH, line, "a test of what is not shown", FIX_NONE)),
        other => Some(Finding::new(PATH, line, format!("shown: {other}"), FIX_SHOWN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &str) -> Vec<String> {
        let table =
            format!("# Platform\n\n{HEADER}\n| --- | --- | --- | --- |\n{rows}\n\nAfter.\n");
        let texts = BTreeMap::from([
            (PATH, table.as_str()),
            ("pkg/test/a.test.mjs", "test(\"send: comes\", async () => {"),
        ]);
        check_texts(&texts).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn rows_that_name_tests_or_say_that_there_is_none_pass() {
        let rows = "| a | b | yes | pkg/test/a.test.mjs: send: comes |\n| a | b | no | - |";
        assert_eq!(found(rows), [""; 0]);
    }

    #[test]
    fn what_is_not_there_is_found() {
        for row in [
            "| a | b | yes | pkg/test/a.test.mjs: send: goes |",
            "| a | b | part | - |",
            "| a | b | no | pkg/test/a.test.mjs: send: comes |",
            "| a | b | perhaps | - |",
            "| a | b |",
        ] {
            assert_eq!(found(row).len(), 1, "{row}");
        }
        let texts = BTreeMap::from([(PATH, "# Platform\n")]);
        assert_eq!(check_texts(&texts).len(), 1);
    }
}
