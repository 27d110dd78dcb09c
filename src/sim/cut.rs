//! A run with less in it than its seed says, and the search for the least that still fails.
//!
//! What is cut away is drawn all the same and does not happen, so the rest of a run stays as like
//! itself as it can.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::sim::fault::Fault;
use crate::sim::run::{Run, SeedReport};

/// What is left out of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// After so many steps nothing goes wrong any more, users ask for nothing, and what is under
    /// way ends.
    pub steps_max: Option<u64>,
    /// Faults that do not occur.
    pub faults: Vec<Fault>,
    pub tabs_max: Option<usize>,
}

impl Cut {
    /// The options of the command line that leave this out.
    #[must_use]
    pub fn options(&self) -> String {
        let mut options = String::new();
        if let Some(steps) = self.steps_max {
            options.push_str(&format!(" --steps {steps}"));
        }
        if let Some(tabs) = self.tabs_max {
            options.push_str(&format!(" --tabs {tabs}"));
        }
        for fault in &self.faults {
            options.push_str(&format!(" --no-fault {}", fault.text()));
        }
        options
    }
}

/// Cuts away what a failing run does not need to break the same promise: first steps, then kinds of
/// faults one at a time, then tabs. `None` if it does not fail.
#[must_use]
pub fn shrink(whole: &Run, fails: impl Fn(&Run) -> SeedReport) -> Option<Shrunk> {
    let best = fails(whole);
    let checker = best.violation.as_ref()?.checker;
    let mut search = Search { whole: whole.clone(), checker, fails, best, cut: Cut::default() };
    search.cut_steps();
    search.cut_faults();
    search.cut_tabs();
    search.cut_steps();
    Some(Shrunk { cut: search.cut, report: search.best })
}

/// The least that was found, and how it fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    pub cut: Cut,
    pub report: SeedReport,
}

struct Search<F> {
    whole: Run,
    checker: &'static str,
    fails: F,
    best: SeedReport,
    cut: Cut,
}

impl<F: Fn(&Run) -> SeedReport> Search<F> {
    /// Keeps a cut if the run still breaks the same promise.
    fn keep_if_it_fails(&mut self, cut: Cut) -> bool {
        let run = Run { cut: cut.clone(), ..self.whole.clone() };
        let report = (self.fails)(&run);
        let same = report.violation.as_ref().is_some_and(|found| found.checker == self.checker);
        if same {
            (self.best, self.cut) = (report, cut);
        }
        same
    }

    /// Halves what is in doubt. Fewer steps need not fail if more do, so it finds one end of that,
    /// not always the lowest.
    fn cut_steps(&mut self) {
        let (mut low, mut high) = (0, self.best.steps);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.keep_if_it_fails(Cut { steps_max: Some(middle), ..self.cut.clone() }) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
    }

    fn cut_faults(&mut self) {
        for fault in Fault::ALL.iter().filter(|fault| !fault.follows()) {
            let mut cut = self.cut.clone();
            cut.faults.push(*fault);
            self.keep_if_it_fails(cut);
        }
    }

    fn cut_tabs(&mut self) {
        let mut tabs = self.best.tabs;
        while tabs > 1
            && self.keep_if_it_fails(Cut { tabs_max: Some(tabs - 1), ..self.cut.clone() })
        {
            tabs -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;
    use crate::sim::run::run;

    #[test]
    fn a_failing_run_is_cut_to_one_that_is_shorter_and_breaks_the_same_promise() {
        let rules = Rules::without("higher_first").unwrap();
        let first = Run { rules, ..Run::of(1) };
        let whole = run(&first);
        let shrunk = shrink(&first, run).expect("a rule is switched off");
        let checker = |report: &SeedReport| report.violation.as_ref().map(|found| found.checker);
        assert_eq!(checker(&shrunk.report), checker(&whole));
        assert!(shrunk.cut.steps_max.is_some_and(|steps| steps < whole.steps), "{:?}", shrunk.cut);
        assert!(shrunk.cut.faults.len() > 20, "{:?}", shrunk.cut);
        let again = run(&Run { rules, cut: shrunk.cut.clone(), ..Run::of(1) });
        assert_eq!((again.hash, again.violation), (shrunk.report.hash, shrunk.report.violation));
        assert!(shrunk.cut.options().contains(" --no-fault lock-stolen"));
    }

    #[test]
    fn what_holds_is_not_cut() {
        assert!(shrink(&Run::of(1), |_| run_of_one_tab()).is_none());
    }

    fn run_of_one_tab() -> SeedReport {
        let cut = Cut { steps_max: Some(100), tabs_max: Some(1), ..Cut::default() };
        run(&Run { cut, ..Run::of(1) })
    }
}
