//! Finds what failed in the log of a step.

/// Lines shown of each failure: its name and the beginning of its reason.
const FAILURE_LINES: usize = 12;
/// Failures of one step that are shown.
const FAILURES_MAX: usize = 20;

/// The name of each failed test and the lines that follow it, as our own runners, `cargo test` and
/// Node's reporter write them. Each name once.
pub fn of_log(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let mut names: Vec<&str> = Vec::new();
    let mut failures = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = failed_name(line) else { continue };
        if names.contains(&name) || failures.len() == FAILURES_MAX {
            continue;
        }
        names.push(name);
        let reason = lines[index + 1..].iter().take(FAILURE_LINES - 1);
        let reason = reason.take_while(|line| belongs_to_failure(line));
        let shown: Vec<&str> = std::iter::once(name).chain(reason.copied()).collect();
        failures.push(shown.join("\n    "));
    }
    if failures.is_empty() {
        // A compiler, or a check that names no test: its end says most.
        let end = &lines[lines.len().saturating_sub(FAILURE_LINES)..];
        failures.push(end.join("\n    "));
    }
    failures
}

fn failed_name(line: &str) -> Option<&str> {
    if let Some(name) = line.strip_prefix("FAILED ") {
        return Some(name);
    }
    if let Some(name) = line.strip_prefix("test ") {
        return name.strip_suffix(" ... FAILED");
    }
    line.trim_start().strip_prefix("\u{2716} ").filter(|name| !name.starts_with("failing tests"))
}

/// What is told of the tabs, and the next test, are not its reason.
fn belongs_to_failure(line: &str) -> bool {
    let next = ["ok ", "test ", "--- "].iter().any(|prefix| line.starts_with(prefix));
    !next && failed_name(line).is_none() && !line.trim_start().starts_with(['\u{2714}', '\u{2716}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runner_names_what_failed_and_why() {
        let browser = "ok     webkit: one\nFAILED webkit: two (3 ms)\nError: why\n--- tab (open)\n";
        assert_eq!(of_log(browser), ["webkit: two (3 ms)\n    Error: why"]);
        let cargo = "test a::b ... FAILED\ntest c ... ok\ntest result: FAILED. 1 passed; 1 failed";
        assert_eq!(of_log(cargo), ["a::b"]);
        let node = "  \u{2714} one\n  \u{2716} two (1 ms)\n    why\n\u{2716} failing tests:\n";
        assert_eq!(of_log(node), ["two (1 ms)\n        why"]);
    }

    #[test]
    fn many_failures_are_cut_and_a_repeated_name_counts_once() {
        let log: String = (0..50).map(|number| format!("FAILED chromium: {number}\n")).collect();
        assert_eq!(of_log(&log).len(), FAILURES_MAX);
        assert_eq!(of_log("FAILED one\nFAILED one\n"), ["one"]);
        assert_eq!(of_log("error: unused\n1 error"), ["error: unused\n    1 error"]);
    }
}
