//! The account of a run.

use std::process::ExitCode;
use std::time::Duration;

use super::counts::Counts;
use super::group::Ending;

/// Lines of the log shown for a step that failed.
const LOG_TAIL_LINES: usize = 60;

const EXIT_INTERRUPTED: u8 = 130;

/// A finished step.
pub struct Report {
    pub name: &'static str,
    pub seconds: f64,
    pub counts: Counts,
}

/// All finished steps.
#[derive(Default)]
pub struct Account {
    reports: Vec<Report>,
    pub total: Counts,
    /// Set if the run did not come to its end.
    pub stopped: Option<Ending>,
}

impl Report {
    /// A step that could not be started.
    pub fn failed(name: &'static str) -> Self {
        Self { name, seconds: 0.0, counts: Counts { passed: 0, failed: 1 } }
    }
}

impl Account {
    /// A run that ended before its first step.
    pub fn broken() -> Self {
        Self { total: Counts { passed: 0, failed: 1 }, ..Self::default() }
    }

    /// Adds a step and prints its line.
    pub fn add(&mut self, report: Report) {
        let Report { name, seconds, counts } = &report;
        println!("{name:<14} {seconds:7.1} s {:6} passed, {} failed", counts.passed, counts.failed);
        self.total += *counts;
        self.reports.push(report);
    }

    /// Prints the seconds of each step, what kept the run from its end, and the totals.
    pub fn print(&self, run_time_max: Duration, not_run: Option<String>) {
        println!("\nseconds per step:");
        for Report { name, seconds, .. } in &self.reports {
            println!("{name:<14} {seconds:7.1}");
        }
        let sum: f64 = self.reports.iter().map(|report| report.seconds).sum();
        println!("{:<14} {sum:7.1}", "all");
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

pub fn print_tail(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..] {
        println!("    {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_step_is_named() {
        let mut account = Account::default();
        for (name, seconds) in [("tidy", 1.0), ("core", 80.4), ("build", 9.0)] {
            account.add(Report { name, seconds, counts: Counts::default() });
        }
        assert_eq!(
            account.describe_slowest(Duration::from_secs(75 * 60)),
            "stopped after 75 minutes; the slowest step was core with 80 s"
        );
    }
}
