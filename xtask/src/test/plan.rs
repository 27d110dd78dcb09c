//! What a run consists of, from its options.

use anyhow::{Result, bail};

use super::steps::{BUILD, Needs, STEPS, Step};
use crate::cli::{Browser, TestOptions};

/// The steps of a run, in the order of the table.
pub struct Plan {
    pub steps: Vec<&'static Step>,
    /// Arguments that browser steps get besides their own.
    pub browser_arguments: Vec<String>,
    /// Browsers the caller left out.
    pub without: Vec<Browser>,
}

impl Plan {
    pub fn new(options: &TestOptions) -> Result<Self> {
        let unknown = |name: &&String| STEPS.iter().all(|step| step.name != **name);
        if let Some(name) = options.only.iter().find(unknown) {
            bail!("there is no step {name:?}; cargo xtask test --list names them");
        }
        let mut steps: Vec<&Step> = STEPS.iter().filter(|step| is_chosen(step, options)).collect();
        let build = STEPS.iter().find(|step| step.name == BUILD).expect("the table has this step");
        let needs_build = steps.iter().any(|step| step.needs == Needs::Build);
        if needs_build && steps.iter().all(|step| step.name != BUILD) {
            steps.insert(0, build);
        }
        let mut browser_arguments = Vec::new();
        if let Some([count, name]) = options.repeat.as_deref() {
            browser_arguments = vec!["--repeat".to_owned(), count.clone(), name.clone()];
        }
        Ok(Self { steps, browser_arguments, without: options.without.clone() })
    }

    /// What runs beside each other: a step, and those after it that may run beside it.
    pub fn batches(&self) -> impl Iterator<Item = &[&'static Step]> {
        self.steps.chunk_by(|_, next| next.beside_previous)
    }

    /// `NOT RUN: firefox webkit`, if the caller left browsers out.
    pub fn not_run(&self) -> Option<String> {
        let names: Vec<&str> = self.without.iter().map(|browser| browser.name()).collect();
        (!names.is_empty()).then(|| format!("NOT RUN: {}", names.join(" ")))
    }
}

fn is_chosen(step: &Step, options: &TestOptions) -> bool {
    if step.browser.is_some_and(|browser| options.without.contains(&browser)) {
        return false;
    }
    if options.repeat.is_some() {
        return step.is_repeatable();
    }
    options.only.is_empty() || options.only.iter().any(|name| name == step.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn plan(arguments: &[&str]) -> Result<Plan> {
        let Cli { verb: crate::cli::Verb::Test(options) } =
            Cli::parse_from(["xtask", "test"].iter().chain(arguments))
        else {
            unreachable!("the verb is test");
        };
        Plan::new(&options)
    }

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        plan(arguments).unwrap().steps.iter().map(|step| step.name).collect()
    }

    #[test]
    fn all_steps_run_unless_some_are_named() {
        assert_eq!(names(&[]).len(), STEPS.len());
        assert_eq!(names(&["--only", "rustfmt", "--only", "tidy"]), ["tidy", "rustfmt"]);
        assert!(plan(&["--only", "nothing"]).is_err());
    }

    #[test]
    fn browser_steps_bring_the_build_along() {
        assert_eq!(names(&["--only", "chromium"]), [BUILD, "chromium"]);
    }

    #[test]
    fn a_step_runs_beside_the_one_before_it_if_it_may() {
        let plan = plan(&[]).unwrap();
        let names = |steps: &[&Step]| steps.iter().map(|step| step.name).collect::<Vec<_>>();
        let batches: Vec<Vec<&str>> = plan.batches().map(names).collect();
        assert!(batches.contains(&vec!["chromium", "webkit"]));
        assert!(batches.contains(&vec!["firefox", "firefox-2"]));
        assert_eq!(batches.concat().len(), STEPS.len());
    }

    #[test]
    fn a_browser_left_out_is_told() {
        let plan = plan(&["--without", "webkit", "--without", "chromium"]).unwrap();
        assert!(plan.steps.iter().all(|step| step.name != "chromium"));
        assert_eq!(plan.not_run().unwrap(), "NOT RUN: webkit chromium");
    }

    #[test]
    fn repeat_runs_browser_steps_alone() {
        let plan = plan(&["--repeat", "20", "two tabs"]).unwrap();
        assert!(plan.steps.iter().all(|step| step.name == BUILD || step.is_repeatable()));
        assert_eq!(plan.steps.iter().filter(|step| step.name.starts_with("firefox")).count(), 1);
        assert_eq!(plan.browser_arguments, ["--repeat", "20", "two tabs"]);
    }
}
