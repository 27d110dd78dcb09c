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

const WASM_OPT: &str = "node_modules/binaryen/bin/wasm-opt";

/// A module that the npm package ships.
struct Module {
    /// Of its glue.
    name: &'static str,
    feature: &'static str,
    profile: &'static str,
    folder: &'static str,
    optimizations: &'static [&'static str],
}

/// What every application loads, what Durable Objects load, and what only loads who simulates. Each
/// has a profile of its own, for two sets of features would overwrite each other's output.
const MODULES: [Module; 3] = [
    Module {
        name: "tabmq",
        feature: "npm",
        profile: "release",
        folder: "pkg/wasm",
        optimizations: &SMALL,
    },
    Module {
        name: "tabmq",
        feature: "npm,sleep",
        profile: "edge",
        folder: "pkg/wasm-edge",
        optimizations: &SMALL,
    },
    Module {
        name: "tabmq_sim",
        feature: "npm-sim",
        profile: "sim-module",
        folder: "pkg/wasm-sim",
        optimizations: &["-O2"],
    },
];

/// Builds the folders of all modules from the crate; the wasm target and the npm packages are
/// there.
pub fn build() -> Result<()> {
    MODULES.iter().try_for_each(Module::build)
}

impl Module {
    fn build(&self) -> Result<()> {
        let mut compile = Command::new(cargo());
        compile.args(["build", "--locked", "--profile", self.profile, "--package", "tabmq"]);
        compile.args(["--lib", "--features", self.feature, "--target", WASM_TARGET]);
        for rustflags in crates_without_place()? {
            compile.args(["--config", &rustflags]);
        }
        process::run(&mut compile)?;
        let output = format!("target/{WASM_TARGET}/{}/tabmq.wasm", self.profile);
        let inputs = Inputs::new()
            .text(BINDGEN_VERSION)
            .text(&self.optimizations.join(" "))
            .file(&output)?
            .file("node_modules/binaryen/package.json")?;
        let [glue, types, wasm] = self.outputs();
        let stamp = self.folder.trim_start_matches("pkg/");
        stamp::when_changed(stamp, inputs, &[&glue, &types, &wasm], || {
            generate_glue(&output, self.name, self.folder)?;
            optimize(&wasm, self.optimizations)
        })
    }

    /// Files that must be there for the work to count as done.
    fn outputs(&self) -> [String; 3] {
        let Self { folder, name, .. } = self;
        [".js", ".d.ts", "_bg.wasm"].map(|end| format!("{folder}/{name}{end}"))
    }
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

/// Builds the example app into `target/rust-app/`, and what gives the storage of the browser driver
/// to tests into `target/storage-border/`. They are run, not measured, so quick builds do.
pub fn build_for_tests() -> Result<()> {
    let mut compile = Command::new(cargo());
    compile.args(["build", "--locked", "--profile", "xtask", "--target", WASM_TARGET]);
    compile.args(["--package", "rust-app", "--package", "storage-border"]);
    process::run(&mut compile)?;
    for (package, name) in [("rust-app", "rust_app"), ("storage-border", "storage_border")] {
        let cargo_output = format!("target/{WASM_TARGET}/xtask/{name}.wasm");
        let folder = format!("target/{package}");
        let output = format!("{folder}/{name}_bg.wasm");
        let inputs = Inputs::new().text(BINDGEN_VERSION).file(&cargo_output)?;
        stamp::when_changed(package, inputs, &[&output], || {
            generate_glue(&cargo_output, name, &folder)
        })?;
    }
    Ok(())
}

/// Builds that stand for later ones, by the feature that makes each: `target/FEATURE/`.
pub const VERSIONS: [&str; 2] = ["next-version", "next-version-only"];

/// Builds the modules of `VERSIONS`, for pages of old and new builds beside each other. They are
/// not optimized: what they say is tested, not how fast.
pub fn build_versions() -> Result<()> {
    for feature in VERSIONS {
        let mut compile = Command::new(cargo());
        compile.args(["build", "--locked", "--profile", "xtask", "--target", WASM_TARGET]);
        compile.args(["--package", "tabmq", "--lib", "--features", &format!("npm,{feature}")]);
        compile.args(["--config", "profile.xtask.package.tabmq.opt-level=0"]);
        process::run(&mut compile)?;
        let cargo_output = format!("target/{WASM_TARGET}/xtask/tabmq.wasm");
        let folder = format!("target/{feature}/wasm");
        let output = format!("{folder}/tabmq_bg.wasm");
        let inputs = Inputs::new().text(BINDGEN_VERSION).file(&cargo_output)?;
        stamp::when_changed(feature, inputs, &[&output], || {
            generate_glue(&cargo_output, "tabmq", &folder)
        })?;
    }
    Ok(())
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
const SMALL: [&str; 5] = [
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

fn optimize(module: &str, optimizations: &[&str]) -> Result<()> {
    let arguments = optimizations.iter().copied().chain([module, "-o", module]);
    process::run(Command::new("node").arg(WASM_OPT).args(arguments))?;
    let home = cargo_home()?.display().to_string();
    let bytes = fs::read(module)?;
    if bytes.windows(home.len()).any(|part| part == home.as_bytes()) {
        bail!(
            "{module} names {home}: do not set RUSTFLAGS, it replaces the flags that prevent that"
        );
    }
    Ok(())
}
