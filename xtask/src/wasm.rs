//! The wasm module and its glue: cargo, wasm-bindgen, wasm-opt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::process;
use crate::stamp::{self, Inputs};
use crate::workspace::{WASM_TARGET, cargo};

/// The glue is written for exactly this version of wasm-bindgen; Cargo.toml pins both sides.
const BINDGEN_VERSION: &str = "0.2.130";

const CARGO_OUTPUT: &str = "target/wasm32-unknown-unknown/release/tabmq.wasm";
const OUT_NAME: &str = "tabmq";
const OUT_DIR: &str = "pkg/wasm";
const MODULE: &str = "pkg/wasm/tabmq_bg.wasm";
const EXAMPLE_CARGO_OUTPUT: &str = "target/wasm32-unknown-unknown/xtask/rust_app.wasm";
const EXAMPLE_DIR: &str = "target/rust-app";
const EXAMPLE_OUTPUT: &str = "target/rust-app/rust_app_bg.wasm";
const WASM_OPT: &str = "node_modules/binaryen/bin/wasm-opt";

/// Files that must be there for the work to count as done.
const OUTPUTS: [&str; 3] = ["pkg/wasm/tabmq.js", "pkg/wasm/tabmq.d.ts", MODULE];

/// Builds `pkg/wasm/` from the crate; the wasm target and the npm packages are there.
pub fn build() -> Result<()> {
    let mut compile = Command::new(cargo());
    compile.args(["build", "--locked", "--release", "--package", "tabmq", "--lib"]);
    compile.args(["--features", "npm", "--target", WASM_TARGET]);
    for rustflags in crates_without_place()? {
        compile.args(["--config", &rustflags]);
    }
    process::run(&mut compile)?;
    let inputs = Inputs::new()
        .text(BINDGEN_VERSION)
        .text(&OPTIMIZATIONS.join(" "))
        .file(CARGO_OUTPUT)?
        .file("node_modules/binaryen/package.json")?;
    stamp::when_changed("wasm", inputs, &OUTPUTS, || {
        generate_glue(CARGO_OUTPUT, OUT_NAME, OUT_DIR)?;
        optimize()
    })
}

/// Settings of cargo that keep the place of downloaded crates on this machine out of the messages
/// of panics, so that every machine builds the same module.
fn crates_without_place() -> Result<Vec<String>> {
    let sources = cargo_home()?.join("registry/src");
    let mut settings = Vec::new();
    for registry in fs::read_dir(&sources).with_context(|| sources.display().to_string())? {
        let path = registry?.path();
        let flag = format!("--remap-path-prefix={}=", path.display());
        settings.push(format!("target.{WASM_TARGET}.rustflags=[{flag:?}]"));
    }
    Ok(settings)
}

fn cargo_home() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let default = || Some(env::home_dir()?.join(".cargo"));
    home.or_else(default).context("there is no home of cargo")
}

/// Builds the example app into `target/rust-app/`. It is run, not measured, so a quick build does.
pub fn build_example() -> Result<()> {
    let mut compile = Command::new(cargo());
    compile.args(["build", "--locked", "--profile", "xtask", "--package", "rust-app"]);
    compile.args(["--target", WASM_TARGET]);
    process::run(&mut compile)?;
    let inputs = Inputs::new().text(BINDGEN_VERSION).file(EXAMPLE_CARGO_OUTPUT)?;
    stamp::when_changed("rust-app", inputs, &[EXAMPLE_OUTPUT], || {
        generate_glue(EXAMPLE_CARGO_OUTPUT, "rust_app", EXAMPLE_DIR)
    })
}

/// One flavor of glue serves every runtime: the caller passes the module in.
fn generate_glue(cargo_output: &str, name: &str, folder: &str) -> Result<()> {
    if Path::new(folder).exists() {
        fs::remove_dir_all(folder)?;
    }
    Bindgen::new()
        .input_path(cargo_output)
        .out_name(name)
        .typescript(true)
        .keep_debug(false)
        // The optimizer sorts by name and leaves the names out.
        .remove_name_section(false)
        .remove_producers_section(true)
        .web(true)?
        .generate(folder)
        .with_context(|| format!("wasm-bindgen cannot read {cargo_output}"))
}

/// What counts is the compressed size, which these were measured by.
///
/// No feature flags: with `--all-features` the output holds types that Node refuses. Without them
/// wasm-opt follows the features that the module itself names.
const OPTIMIZATIONS: [&str; 5] = [
    "-Oz",
    // Functions with one caller stay functions: inlined, they give large ones whose many locals
    // compress badly. It was a tenth of the module.
    "--one-caller-inline-max-function-size",
    "0",
    "--converge",
    // Puts the copies of one generic function beside each other, where gzip still sees them. The
    // names are not written.
    "--reorder-functions-by-name",
];

fn optimize() -> Result<()> {
    let arguments = OPTIMIZATIONS.into_iter().chain([MODULE, "-o", MODULE]);
    process::run(Command::new("node").arg(WASM_OPT).args(arguments))?;
    let home = cargo_home()?.display().to_string();
    let module = fs::read(MODULE)?;
    if module.windows(home.len()).any(|bytes| bytes == home.as_bytes()) {
        bail!(
            "{MODULE} names {home}: do not set RUSTFLAGS, it replaces the flags that prevent that"
        );
    }
    Ok(())
}
