//! The declared list of steps. Adding a step is adding one entry.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::test::counts::Counting;
use crate::workspace::{WASM_TARGET, cargo};

/// One entry of the list.
pub struct Step {
    pub name: &'static str,
    pub program: Program,
    pub arguments: &'static [&'static str],
    pub counting: Counting,
    pub needs: Needs,
}

/// What runs a step. Every step is a process of its own, so that it has a log and can be killed.
#[derive(Clone, Copy)]
pub enum Program {
    Cargo,
    /// Another verb of this program.
    Xtask,
}

/// What must be on the machine before a step starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Rust,
    /// The wasm target.
    Wasm,
}

pub const STEPS: &[Step] = &[
    Step {
        name: "tidy",
        program: Program::Xtask,
        arguments: &["tidy"],
        counting: Counting::Totals,
        needs: Needs::Rust,
    },
    Step {
        name: "rustfmt",
        program: Program::Cargo,
        arguments: &["fmt", "--all", "--check"],
        counting: Counting::ExitCode,
        needs: Needs::Rust,
    },
    Step {
        name: "clippy",
        program: Program::Cargo,
        arguments: CLIPPY_NATIVE,
        counting: Counting::ExitCode,
        needs: Needs::Rust,
    },
    Step {
        name: "clippy-wasm",
        program: Program::Cargo,
        arguments: CLIPPY_WASM,
        counting: Counting::ExitCode,
        needs: Needs::Wasm,
    },
    Step {
        name: "clippy-xtask",
        program: Program::Cargo,
        arguments: CLIPPY_XTASK,
        counting: Counting::ExitCode,
        needs: Needs::Rust,
    },
    Step {
        name: "xtask",
        program: Program::Cargo,
        arguments: &["test", "--locked", "--profile", "xtask", "--package", "xtask"],
        counting: Counting::CargoTest,
        needs: Needs::Rust,
    },
    Step {
        name: "core",
        program: Program::Cargo,
        arguments: &["test", "--locked", "--package", "tabmq", "--features", "sim"],
        counting: Counting::CargoTest,
        needs: Needs::Rust,
    },
    Step {
        name: "build",
        program: Program::Xtask,
        arguments: &["build"],
        counting: Counting::ExitCode,
        needs: Needs::Wasm,
    },
];

# [rustfmt::skip]
const CLIPPY_NATIVE: &[&str] = &[
    "clippy", "--locked", "--package", "tabmq", "--all-targets", "--features", "sim",
    "--", "--deny", "warnings",
];

# [rustfmt::skip]
const CLIPPY_WASM: &[&str] = &[
    "clippy", "--locked", "--package", "tabmq", "--lib", "--target", WASM_TARGET,
    "--", "--deny", "warnings",
];

# [rustfmt::skip]
const CLIPPY_XTASK: &[&str] = &[
    "clippy", "--locked", "--package", "xtask", "--all-targets", "--profile", "xtask",
    "--", "--deny", "warnings",
];

impl Step {
    /// The process of this step, with colors and progress bars off: its output goes to a file.
    pub fn command(&self) -> Result<Command> {
        let mut command = match self.program {
            Program::Cargo => Command::new(cargo()),
            Program::Xtask => Command::new(env::current_exe().context("our own path")?),
        };
        command.args(self.arguments);
        command.envs([("CARGO_TERM_COLOR", "never"), ("NO_COLOR", "1"), ("FORCE_COLOR", "0")]);
        Ok(command)
    }
}
