//! Sums what the test runners report.

use std::ops::AddAssign;

/// How a step says what passed and what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// The whole step is one check; the exit code says how it went.
    ExitCode,
    /// `test result: ok. 3 passed; 0 failed; 0 ignored; ...`, once per test binary.
    CargoTest,
    /// The last line of the form `3 passed, 0 failed`.
    Totals,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u32,
    pub failed: u32,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Counts {
    /// Reads the log of a finished step. A step that failed without naming a failed test, passed
    /// without running one, or left one out, has one failure more than its runner says.
    pub fn of_step(counting: Counting, log: &str, success: bool) -> Self {
        let Some((mut counts, skipped)) = read(counting, log, success) else {
            return Self { passed: 0, failed: 1 };
        };
        let silent = counts.failed == 0 && (!success || counts.passed == 0);
        if silent || skipped > 0 {
            counts.failed += 1;
        }
        counts
    }
}

/// The counts and the number of tests left out; nothing if the log holds no summary.
fn read(counting: Counting, log: &str, success: bool) -> Option<(Counts, u32)> {
    match counting {
        Counting::ExitCode => {
            Some((Counts { passed: success.into(), failed: (!success).into() }, 0))
        }
        Counting::CargoTest => read_cargo(log),
        Counting::Totals => log.lines().rev().find_map(read_totals).map(|counts| (counts, 0)),
    }
}

fn read_cargo(log: &str) -> Option<(Counts, u32)> {
    let mut sum = None;
    for line in log.lines().filter(|line| line.starts_with("test result: ")) {
        let (counts, skipped) = sum.get_or_insert((Counts::default(), 0));
        counts.passed += number_before(line, " passed")?;
        counts.failed += number_before(line, " failed")?;
        *skipped += number_before(line, " ignored")?;
    }
    sum
}

/// Reads `3 passed, 0 failed`, and nothing that merely resembles it.
fn read_totals(line: &str) -> Option<Counts> {
    let (passed, failed) = line.trim().strip_suffix(" failed")?.split_once(" passed, ")?;
    Some(Counts { passed: passed.parse().ok()?, failed: failed.parse().ok()? })
}

fn number_before(line: &str, unit: &str) -> Option<u32> {
    let head = &line[..line.find(unit)?];
    head.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u32, failed: u32) -> Counts {
        Counts { passed, failed }
    }

    #[test]
    fn cargo_results_are_summed_over_binaries() {
        let log = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                   noise\n\
                   test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(Counts::of_step(Counting::CargoTest, log, false), counts(4, 2));
    }

    #[test]
    fn an_ignored_test_counts_as_a_failure() {
        let log = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n";
        assert_eq!(Counts::of_step(Counting::CargoTest, log, true), counts(3, 1));
    }

    #[test]
    fn a_step_that_breaks_before_its_tests_counts_as_one_failure() {
        assert_eq!(
            Counts::of_step(Counting::CargoTest, "error: no such crate", false),
            counts(0, 1)
        );
        assert_eq!(Counts::of_step(Counting::ExitCode, "", false), counts(0, 1));
    }

    #[test]
    fn a_step_that_runs_no_test_counts_as_one_failure() {
        let log = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n";
        assert_eq!(Counts::of_step(Counting::CargoTest, log, true), counts(0, 1));
        assert_eq!(Counts::of_step(Counting::Totals, "nothing to do", true), counts(0, 1));
    }

    #[test]
    fn a_failing_exit_code_outweighs_a_clean_summary() {
        assert_eq!(Counts::of_step(Counting::Totals, "3 passed, 0 failed", false), counts(3, 1));
    }

    #[test]
    fn the_last_totals_line_counts() {
        let log = "1 passed, 1 failed\n 5 passed, 0 failed \ndone: 9 passed, 9 failed, more\n";
        assert_eq!(Counts::of_step(Counting::Totals, log, true), counts(5, 0));
    }
}
