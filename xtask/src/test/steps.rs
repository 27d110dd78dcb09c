//! The declared list of steps. Adding a step is adding one entry.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cli::Browser;
use crate::npm;
use crate::test::counts::Counting;
use crate::workspace::{WASM_TARGET, cargo};

/// One entry of the list.
pub struct Step {
    pub name: &'static str,
    pub program: Program,
    pub arguments: &'static [&'static str],
    pub counting: Counting,
    pub needs: Needs,
    /// The browser the step runs in; absent if it runs in none.
    pub browser: Option<Browser>,
    /// Runs at the same time as the step before it: both wait more than they work.
    pub beside_previous: bool,
}

/// What runs a step. Every step is a process of its own, so that it has a log and can be killed.
#[derive(Clone, Copy)]
pub enum Program {
    Cargo,
    Node,
    Npm,
    /// Another verb of this program.
    Xtask,
}

/// What must be on the machine before a step starts; each includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    Rust,
    /// Node and the locked npm packages.
    Npm,
    /// The wasm target.
    Wasm,
    /// What the step `build` makes.
    Build,
}

pub const STEPS: &[Step] = &[
    Step {
        name: "tidy",
        program: Program::Xtask,
        arguments: &["tidy"],
        counting: Counting::Totals,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "rustfmt",
        program: Program::Cargo,
        arguments: &["fmt", "--all", "--check"],
        counting: Counting::ExitCode,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "clippy",
        program: Program::Cargo,
        arguments: CLIPPY_NATIVE,
        counting: Counting::ExitCode,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "clippy-wasm",
        program: Program::Cargo,
        arguments: CLIPPY_WASM,
        counting: Counting::ExitCode,
        needs: Needs::Wasm,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "clippy-xtask",
        program: Program::Cargo,
        arguments: CLIPPY_XTASK,
        counting: Counting::ExitCode,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "lint",
        program: Program::Node,
        arguments: &["node_modules/oxlint/bin/oxlint", "--deny-warnings", "--format", "unix"],
        counting: Counting::ExitCode,
        needs: Needs::Npm,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "xtask",
        program: Program::Cargo,
        arguments: &["test", "--locked", "--profile", "xtask", "--package", "xtask"],
        counting: Counting::CargoTest,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "core",
        program: Program::Cargo,
        arguments: &["test", "--locked", "--package", "tabmq", "--features", "sim"],
        counting: Counting::CargoTest,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "memory",
        program: Program::Cargo,
        arguments: MEMORY,
        counting: Counting::CargoTest,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "sim",
        program: Program::Xtask,
        arguments: &["sim", "--rules-off"],
        counting: Counting::Totals,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "fuzz",
        program: Program::Cargo,
        arguments: FUZZ_INPUTS,
        counting: Counting::Totals,
        needs: Needs::Rust,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: BUILD,
        program: Program::Xtask,
        arguments: &["build"],
        counting: Counting::ExitCode,
        needs: Needs::Wasm,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "parity",
        program: Program::Node,
        arguments: &["tests/parity/run.mjs"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "types",
        program: Program::Npm,
        arguments: &["run", "--silent", "typecheck", "--workspaces", "--if-present"],
        counting: Counting::ExitCode,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "package",
        program: Program::Npm,
        arguments: &["run", "--silent", "test", "--workspace", "pkg"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "tarball",
        program: Program::Npm,
        arguments: &["run", "--silent", "check:package", "--workspace", "pkg"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "smoke-node",
        program: Program::Npm,
        arguments: &["run", "--silent", "smoke:node", "--workspace", "pkg"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "smoke-deno",
        program: Program::Npm,
        arguments: &["run", "--silent", "smoke:deno", "--workspace", "pkg"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "smoke-bun",
        program: Program::Npm,
        arguments: &["run", "--silent", "smoke:bun", "--workspace", "pkg"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "smoke-vite",
        program: Program::Npm,
        arguments: &["run", "--silent", "smoke:vite", "--workspace", "pkg"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: Some(Browser::Chromium),
        beside_previous: false,
    },
    Step {
        name: "size",
        program: Program::Xtask,
        arguments: &["size"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: None,
        beside_previous: false,
    },
    Step {
        name: "second-run",
        program: Program::Xtask,
        arguments: &["test", "--only", "types", "--only", "smoke-vite"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: Some(Browser::Chromium),
        beside_previous: false,
    },
    browser_tests("chromium", Browser::Chromium, &[BROWSER_TESTS, "--browser", "chromium"]),
    Step {
        beside_previous: true,
        ..browser_tests("webkit", Browser::Webkit, &[BROWSER_TESTS, "--browser", "webkit"])
    },
    Step {
        name: "chaos",
        program: Program::Node,
        arguments: &["tests/browsers/chaos.mjs", "--events", "30", "--seed", "7"],
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: Some(Browser::Chromium),
        beside_previous: false,
    },
    // Opening a window takes it longest, so its cases run in two browsers beside each other.
    browser_tests(
        "firefox",
        Browser::Firefox,
        &[BROWSER_TESTS, "--browser", "firefox", "--part", "1/2"],
    ),
    Step {
        beside_previous: true,
        ..browser_tests(
            "firefox-2",
            Browser::Firefox,
            &[BROWSER_TESTS, "--browser", "firefox", "--part", "2/2"],
        )
    },
];

/// The step that other steps may need.
pub const BUILD: &str = "build";

/// What a run needs is there before its first step, so a step asks nothing of the network. The step
/// `second-run` shows the same of a whole run.
const OFFLINE: [(&str, &str); 2] = [("CARGO_NET_OFFLINE", "true"), ("npm_config_offline", "true")];

/// The runner of the browser tests.
const BROWSER_TESTS: &str = "tests/browsers/run.mjs";

const fn browser_tests(
    name: &'static str,
    browser: Browser,
    arguments: &'static [&'static str],
) -> Step {
    Step {
        name,
        program: Program::Node,
        arguments,
        counting: Counting::Totals,
        needs: Needs::Build,
        browser: Some(browser),
        beside_previous: false,
    }
}

#[rustfmt::skip]
const CLIPPY_NATIVE: &[&str] = &[
    "clippy", "--locked", "--package", "tabmq", "--package", "fuzz", "--all-targets",
    "--features", "tabmq/sim", "--", "--deny", "warnings",
];

/// The tests that count what many of something allocate, and take minutes without optimisation.
#[rustfmt::skip]
const MEMORY: &[&str] = &[
    "test", "--locked", "--package", "tabmq", "--features", "sim", "--profile", "sim",
    "--test", "producers", "--test", "overload",
];

/// The committed corpus, and inputs that are made from it.
#[rustfmt::skip]
const FUZZ_INPUTS: &[&str] = &[
    "run", "--quiet", "--locked", "--profile", "sim", "--package", "fuzz", "--bin", "fuzz-inputs",
];

#[rustfmt::skip]
const CLIPPY_WASM: &[&str] = &[
    "clippy", "--locked", "--package", "tabmq", "--lib", "--features", "npm,npm-sim",
    "--package", "rust-app", "--package", "storage-border", "--target", WASM_TARGET,
    "--", "--deny", "warnings",
];

#[rustfmt::skip]
const CLIPPY_XTASK: &[&str] = &[
    "clippy", "--locked", "--package", "xtask", "--all-targets", "--profile", "xtask",
    "--", "--deny", "warnings",
];

impl Step {
    /// True for the tests of which one can be repeated by name. The first part does so for all.
    pub fn is_repeatable(&self) -> bool {
        self.arguments.first() == Some(&BROWSER_TESTS) && !self.arguments.contains(&"2/2")
    }

    /// The process of this step, with colors and progress bars off: its output goes to a file.
    pub fn command(&self) -> Result<Command> {
        let mut command = match self.program {
            Program::Cargo => Command::new(cargo()),
            Program::Node => Command::new("node"),
            Program::Npm => npm::npm(&[]),
            Program::Xtask => Command::new(env::current_exe().context("our own path")?),
        };
        command.args(self.arguments);
        command.envs([("CARGO_TERM_COLOR", "never"), ("NO_COLOR", "1"), ("FORCE_COLOR", "0")]);
        command.envs(OFFLINE);
        Ok(command)
    }
}
