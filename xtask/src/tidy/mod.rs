//! `cargo xtask tidy`: rules of the repository that no compiler checks. Every finding names its
//! place, what is wrong and what to do instead.

mod banned;
mod budgets;
mod coverage;
mod current;
mod layers;
mod links;
mod manifests;
mod platform;
mod ratchet;
mod text;
mod tokens;
mod tree;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::TidyOptions;
use tree::Tree;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// Counted from 1; 0 is the file as a whole.
    pub line: usize,
    pub what: String,
    pub instead: String,
}

/// One rule, or a few that share their way of looking.
struct Check {
    name: &'static str,
    run: fn(&Tree) -> Vec<Finding>,
}

const CHECKS: &[Check] = &[
    Check { name: "parse", run: tree::check_syntax },
    Check { name: "layers", run: layers::check },
    Check { name: "banned names", run: banned::check },
    Check { name: "budgets", run: budgets::check },
    Check { name: "line length", run: text::check_line_length },
    Check { name: "characters", run: text::check_characters },
    Check { name: "owners", run: text::check_owners },
    Check { name: "skipped tests", run: text::check_skipped_tests },
    Check { name: "places", run: text::check_places },
    Check { name: "large files", run: text::check_large_files },
    Check { name: "links", run: links::check },
    Check { name: "coverage", run: coverage::check },
    Check { name: "platform", run: platform::check },
    Check { name: "sleeping tests", run: text::check_sleeping_tests },
    Check { name: "manifests", run: manifests::check },
    Check { name: "generated files", run: current::check },
    Check { name: "readme", run: text::check_readme },
];

/// Runs all checks; the last line is `N passed, N failed`, counted in checks.
pub fn tidy(options: &TidyOptions) -> Result<ExitCode> {
    if options.tighten {
        budgets::tighten(&Tree::read()?)?;
    }
    let tree = Tree::read()?;
    let mut failed = 0;
    for check in CHECKS {
        let findings = (check.run)(&tree);
        failed += usize::from(!findings.is_empty());
        for Finding { path, line, what, instead } in findings {
            println!("{path}:{line}: {what}\n    instead: {instead}   [{}]", check.name);
        }
    }
    println!("{} passed, {failed} failed", CHECKS.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Finding {
    pub fn new(path: &str, line: usize, what: impl Into<String>, instead: &str) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), instead: instead.to_owned() }
    }
}
