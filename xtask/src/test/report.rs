//! The account of a run.

use std::process::ExitCode;
use std::time::Duration;

use super::counts::Counts;
use super::group::Ending;

/// Lines of the log shown for a step that failed.
const LOG_TAIL_LINES: usize = 60;
/// Of the log of a browser, from its first failed case on.
const FAILED_CASE_LINES: usize = 400;

const EXIT_INTERRUPTED: u8 = 130;

/// A finished step.
pub struct Report {
    pub name: &'static str,
    pub seconds: f64,
    pub counts: Counts,
    /// What failed in it and why, a few lines each.
    pub failures: Vec<String>,
}

/// All finished steps.
#[derive(Default)]
pub struct Account {
    reports: Vec<Report>,
    pub total: Counts,
    /// From the beginning to the end of the run.
    pub seconds: f64,
    /// Set if the run did not come to its end.
    pub stopped: Option<Ending>,
}

impl Report {
    /// A step that could not be started.
    pub fn failed(name: &'static str) -> Self {
        Self { name, seconds: 0.0, counts: Counts { passed: 0, failed: 1 }, failures: Vec::new() }
    }
}

impl Account {
    /// A run that ended before its first step.
    pub fn broken() -> Self {
        Self { total: Counts { passed: 0, failed: 1 }, ..Self::default() }
    }

    /// Adds a step and prints its line.
    pub fn add(&mut self, report: Report) {
        let Report { name, seconds, counts, .. } = &report;
        println!("{name:<14} {seconds:7.1} s {:6} passed, {} failed", counts.passed, counts.failed);
        self.total += *counts;
        self.reports.push(report);
    }

    /// Prints the seconds of each step, every failure once more, as those who read a long account
    /// read its end, what kept the run from its end, and the totals.
    pub fn print(&self, run_time_max: Duration, not_run: Option<String>) {
        println!("\nseconds per step:");
        for Report { name, seconds, .. } in &self.reports {
            println!("{name:<14} {seconds:7.1}");
        }
        // Some ran beside each other.
        println!("{:<14} {:7.1}", "all", self.seconds);
        for Report { name, failures, .. } in &self.reports {
            for failure in failures {
                println!("{name}: {failure}");
            }
        }
        match self.stopped {
            Some(Ending::OutOfTime) => println!("{}", self.describe_slowest(run_time_max)),
            Some(Ending::Interrupted) => println!("interrupted"),
            Some(Ending::Exited { .. }) | None => {}
        }
        if let Some(line) = not_run {
            println!("{line}");
        }
        println!("{} passed, {} failed", self.total.passed, self.total.failed);
    }

    pub fn exit_code(&self) -> ExitCode {
        match self.stopped {
            Some(Ending::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
            _ if self.total.failed > 0 => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }

    fn describe_slowest(&self, run_time_max: Duration) -> String {
        let minutes = run_time_max.as_secs() / 60;
        let slowest = self.reports.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let (name, seconds) = slowest.map_or(("none", 0.0), |report| (report.name, report.seconds));
        format!("stopped after {minutes} minutes; the slowest step was {name} with {seconds:.0} s")
    }
}

/// Prints what tells why a step failed.
pub fn print_excerpt(log: &str) {
    for line in excerpt(log) {
        println!("    {line}");
    }
}

/// From the first failed browser case on: what is printed of its tabs is more than the tail, and
/// most is told by the first of them. Of any other log the tail.
fn excerpt(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines.len().saturating_sub(LOG_TAIL_LINES);
    let Some(failed) = lines.iter().position(|line| line.starts_with("FAILED ")) else {
        return lines[tail..].to_vec();
    };
    let end = lines.len().min(failed + FAILED_CASE_LINES);
    [&lines[failed..end], &lines[tail.max(end)..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_browser_case_is_shown_from_its_beginning() {
        let mut lines = vec!["ok     webkit: one".to_owned(), "FAILED webkit: two".to_owned()];
        lines.extend((0..1000).map(|number| format!("frame {number}")));
        let log = lines.join("\n");
        let shown = excerpt(&log);
        assert_eq!(shown[0], "FAILED webkit: two");
        assert_eq!(shown.len(), FAILED_CASE_LINES + LOG_TAIL_LINES);
        assert_eq!(shown.last(), Some(&"frame 999"));
        assert_eq!(excerpt("one\ntwo"), ["one", "two"]);
        assert_eq!(excerpt("FAILED one\ntwo\n1 failed"), ["FAILED one", "two", "1 failed"]);
    }

    #[test]
    fn the_slowest_step_is_named() {
        let mut account = Account::default();
        for (name, seconds) in [("tidy", 1.0), ("core", 80.4), ("build", 9.0)] {
            let counts = Counts::default();
            account.add(Report { name, seconds, counts, failures: Vec::new() });
        }
        assert_eq!(
            account.describe_slowest(Duration::from_secs(75 * 60)),
            "stopped after 75 minutes; the slowest step was core with 80 s"
        );
    }
}
